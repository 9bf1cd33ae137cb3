"""What is written down of a phase, and the pure arithmetic on it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from scipy import stats

DOORS = ("http", "grpc", "stream", "agent", "rest")
"""Of the normal client: HTTP and the lossy stream at the agent, gRPC at the gateway; `agent` is
gRPC at the agent, `rest` HTTP at the gateway."""


class Result(NamedTuple):
    """One request of the normal client; `due` in s of CLOCK_MONOTONIC."""

    door: str
    due: float
    took_ms: float
    outcome: str
    degraded: str | None


class Size(NamedTuple):
    """Of a process at a time: resident MiB, open descriptors; `mapped_mib` of the former are pages
    of files, code mostly, which the system takes back when it likes."""

    at: float
    rss_mib: float
    descriptors: int
    mapped_mib: float = 0.0

    @property
    def own_mib(self) -> float:
        """What the process itself holds."""
        return self.rss_mib - self.mapped_mib


@dataclass(frozen=True)
class Memory:
    """Of one service over a phase, MiB: before, the most, and after up to 30 s of quiet. `mapped`
    is by how much more of files was resident after than before."""

    before: float
    peak: float
    after: float
    descriptors_before: int
    descriptors_peak: int
    descriptors_after: int
    alive: bool
    mapped: float = 0.0


@dataclass(frozen=True)
class Served:
    """What the normal client had at one door."""

    sent: int
    answered: int
    degraded: Mapping[str, int]
    errors: Mapping[str, int]
    p50_ms: float | None
    p99_ms: float | None
    p99_interval_ms: tuple[float, float] | None


@dataclass(frozen=True)
class Phase:
    """One phase. `tally` is what attackers were told; `tracebacks` are lines of the logs.

    `aftermath` are errors of the normal client in the seconds after the attack. `logged` are lines
    of each service, `leaked` the secrets found in them. `drift_mib` is how far memory moved from
    the middle third of a long attack to its last.
    """

    name: str
    seconds: float
    served: Mapping[str, Served]
    services: Mapping[str, Memory] = field(default_factory=dict)
    tally: Mapping[str, int] = field(default_factory=dict)
    quiet_p99_ms: float | None = None
    tracebacks: Sequence[str] = ()
    overload: Mapping[str, float] = field(default_factory=dict)
    aftermath: Mapping[str, int] = field(default_factory=dict)
    logged: Mapping[str, int] = field(default_factory=dict)
    leaked: Sequence[str] = ()
    drift_mib: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Phase:
        """As it was written."""
        known = dict(found)
        known["served"] = {door: Served(**one) for door, one in found["served"].items()}
        known["services"] = {name: Memory(**one) for name, one in found["services"].items()}
        known.pop("verdicts", None)
        return cls(**known)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def quantile_interval(
    values: Sequence[float], share: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Values between which the quantile lies, by ranks of a binomial count; None of nothing.

    With few values it reaches to the largest: P99 of 100 requests is known to no better.
    """
    if not values:
        return None
    ordered, count = sorted(values), len(values)
    tail = (1 - confidence) / 2
    low = int(stats.binom.ppf(tail, count, share))
    high = int(stats.binom.ppf(1 - tail, count, share))
    return ordered[max(0, low - 1)], ordered[min(count - 1, high)]


def served(results: Sequence[Result]) -> dict[str, Served]:
    """Sums by door."""
    return {door: _of_door([one for one in results if one.door == door]) for door in DOORS}


def errors(results: Sequence[Result]) -> dict[str, int]:
    """What was not answered, by what was said instead."""
    return dict(Counter(one.outcome for one in results if one.outcome != "200"))


def _of_door(results: Sequence[Result]) -> Served:
    good = [one for one in results if one.outcome == "200"]
    times = [one.took_ms for one in good]
    return Served(
        sent=len(results),
        answered=len(good),
        degraded=dict(Counter(one.degraded for one in good if one.degraded is not None)),
        errors=errors(results),
        p50_ms=quantile(times, 0.5),
        p99_ms=quantile(times, 0.99),
        p99_interval_ms=quantile_interval(times, 0.99),
    )


def drift(points: Sequence[tuple[float, float]]) -> float:
    """The median y of the last third of x minus that of the middle third; 0 where one is empty."""
    if not points:
        return 0.0
    begin, end = points[0][0], points[-1][0]
    third = (end - begin) / 3
    middle = [y for x, y in points if begin + third <= x < begin + 2 * third]
    last = [y for x, y in points if x >= begin + 2 * third]
    if not middle or not last:
        return 0.0
    return statistics.median(last) - statistics.median(middle)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of a least-squares line, in units of y for a unit of x; 0 for less than two points."""
    if len(points) < 2:
        return 0.0
    return float(stats.linregress([x for x, _ in points], [y for _, y in points]).slope)
