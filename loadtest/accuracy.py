"""Delivered accuracy per target, counted while a load test runs. Knows nothing of Locust."""

from __future__ import annotations

from dataclasses import dataclass, field
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

    def add(self, target: float, *, correct: bool, escalated: bool, degraded: bool) -> None:
        """Count one answer."""
        counts = self._counts.setdefault(target, TargetCounts())
        counts.answers += 1
        counts.correct += correct
        counts.escalated += escalated
        counts.degraded += degraded

    def clear(self) -> None:
        """Begin anew."""
        self._counts.clear()

    def rows(self) -> list[dict[str, Any]]:
        """One row for each target that was answered, by target."""
        return [counts.as_row(target) for target, counts in sorted(self._counts.items())]

    def table(self) -> str:
        """The rows as text."""
        lines = [
            f"{'target':>8} {'n':>7} {'achieved':>9} {'95 % interval':>17} {'esc.':>6} {'degr.':>6}"
        ]
        lines += [
            f"{shown.target(row['target']):>8} {row['n']:7d} {row['achieved']:9.3f} "
            f"{shown.interval(row['ci_low'], row['ci_high']):>14}    "
            f"{row['escalation_rate']:6.1%} {row['degraded_rate']:6.1%}"
            for row in self.rows()
        ]
        return "\n".join(lines)


def spread(highest: float, count: int = 4) -> list[float]:
    """`count` targets in steps of 0.04 below the highest certifiable one."""
    top = round(100 * shown.floored(highest, 2))
    return sorted({max(1, top - 4 * step) / 100 for step in range(count)})
