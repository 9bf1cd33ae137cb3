"""Delivered accuracy per target, counted while a load test runs. Knows nothing of Locust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from hawkvision.calibration import shown
from hawkvision.calibration.intervals import clopper_pearson


@dataclass
class TargetCounts:
    """Answers at one accuracy target."""

    answers: int = 0
    correct: int = 0
    escalated: int = 0
    degraded: int = 0
    in_time: int = 0
    """Right, and within the time that was given."""

    def merge(self, other: TargetCounts) -> None:
        """Add what another process counted."""
        self.answers += other.answers
        self.correct += other.correct
        self.escalated += other.escalated
        self.degraded += other.degraded
        self.in_time += other.in_time

    def as_row(self, target: float) -> dict[str, Any]:
        """Shares with the 95 % interval of the accuracy."""
        low, high = clopper_pearson(self.correct, self.answers)
        return {
            "target": target,
            "n": self.answers,
            "achieved": self.correct / self.answers,
            "ci_low": low,
            "ci_high": high,
            "escalation_rate": self.escalated / self.answers,
            "degraded_rate": self.degraded / self.answers,
        }


@dataclass
class DeliveredAccuracy:
    """Counts per target; `add` for each answer, `rows` at the end."""

    _counts: dict[float, TargetCounts] = field(default_factory=dict)

    def add(
        self,
        target: float,
        *,
        correct: bool,
        escalated: bool,
        degraded: bool,
        in_time: bool = True,
    ) -> None:
        """Count one answer."""
        counts = self._counts.setdefault(target, TargetCounts())
        counts.answers += 1
        counts.correct += correct
        counts.escalated += escalated
        counts.degraded += degraded
        counts.in_time += correct and in_time

    def take(self) -> dict[str, list[int]]:
        """All counts, for another process, which begin anew here. JSON and msgpack can hold it."""
        taken = {str(target): list(astuple(one)) for target, one in self._counts.items()}
        self.clear()
        return taken

    def merge(self, taken: Mapping[str, Sequence[int]]) -> None:
        """Add what `take` gave elsewhere."""
        for target, numbers in taken.items():
            self._counts.setdefault(float(target), TargetCounts()).merge(TargetCounts(*numbers))

    def targets(self) -> list[float]:
        """Those that were answered, ascending."""
        return sorted(self._counts)

    def of(self, target: float | None) -> TargetCounts:
        """Of one target, of all for None."""
        return self.total() if target is None else self._counts.get(target, TargetCounts())

    def total(self) -> TargetCounts:
        """Of all targets."""
        total = TargetCounts()
        for counts in self._counts.values():
            total.merge(counts)
        return total

    def clear(self) -> None:
        """Begin anew."""
        self._counts.clear()

    def rows(self) -> list[dict[str, Any]]:
        """One row for each target that was answered, by target."""
        return [counts.as_row(target) for target, counts in sorted(self._counts.items())]


def spread(highest: float, count: int = 4) -> list[float]:
    """`count` targets in steps of 0.04 below the highest certifiable one."""
    top = round(100 * shown.floored(highest, 2))
    return sorted({max(1, top - 4 * step) / 100 for step in range(count)})
