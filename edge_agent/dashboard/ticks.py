"""What an agent did in one second, so that seconds, minutes and workers add up. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_PER_DECADE = 40
_LEAST_S = 1e-6
MIDDLE_ERROR = 10 ** (0.5 / _PER_DECADE) - 1
"""So far the middle of a bucket of times is from its ends: 2.9 %."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Counts of one second, or of several added up.

    `escalated` and `degraded` are parts of `answers`; `refused` requests had none. `packets` came
    over lossy streams, `lost` did not come. `joules` were measured over `powered_s` seconds.
    `times` counts answers by bucket of time (see `bucket_of`).
    """

    answers: int = 0
    escalated: int = 0
    degraded: int = 0
    refused: int = 0
    packets: int = 0
    lost: int = 0
    joules: float = 0.0
    powered_s: float = 0.0
    times: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Tick) -> Tick:
        """Both together."""
        times = dict(self.times)
        for bucket, count in other.times.items():
            times[bucket] = times.get(bucket, 0) + count
        return Tick(
            self.answers + other.answers,
            self.escalated + other.escalated,
            self.degraded + other.degraded,
            self.refused + other.refused,
            self.packets + other.packets,
            self.lost + other.lost,
            self.joules + other.joules,
            self.powered_s + other.powered_s,
            times,
        )

    def as_list(self) -> list[Any]:
        """For JSON between processes of one service."""
        return [
            self.answers,
            self.escalated,
            self.degraded,
            self.refused,
            self.packets,
            self.lost,
            self.joules,
            self.powered_s,
            [list(pair) for pair in self.times.items()],
        ]

    @classmethod
    def of_list(cls, told: list[Any]) -> Tick:
        """From `as_list` of the same version."""
        answers, escalated, degraded, refused, packets, lost, joules, powered_s, times = told
        return cls(
            answers=answers,
            escalated=escalated,
            degraded=degraded,
            refused=refused,
            packets=packets,
            lost=lost,
            joules=joules,
            powered_s=powered_s,
            times={int(bucket): int(count) for bucket, count in times},
        )

    def point(self, seconds: int) -> Point:
        """As it is drawn, for so many seconds."""
        answers, packets = self.answers, self.packets + self.lost
        return Point(
            rate=round(answers / seconds, 2),
            refused=round(self.refused / seconds, 2),
            p50_ms=quantile_ms(self.times, 0.5),
            p99_ms=quantile_ms(self.times, 0.99),
            escalated=round(self.escalated / answers, 4) if answers else None,
            degraded=round(self.degraded / answers, 4) if answers else None,
            lost=round(self.lost / packets, 4) if packets else None,
            watts=round(self.joules / self.powered_s, 2) if self.powered_s else None,
        )


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn for a second or a minute; None where there is nothing to say.

    `rate` and `refused` a second; `escalated` and `degraded` are shares of the answers, `lost` one
    of the packets of lossy streams.
    """

    rate: float
    refused: float
    p50_ms: float | None
    p99_ms: float | None
    escalated: float | None
    degraded: float | None
    lost: float | None
    watts: float | None


def bucket_of(seconds: float) -> int:
    """The bucket of a time: 40 for each power of ten, counted from a microsecond."""
    return next(iter(times_of([seconds])))


def times_of(seconds: Sequence[float]) -> dict[int, int]:
    """How many of these times lie in each bucket."""
    times = np.maximum(np.asarray(seconds, np.float64), _LEAST_S) / _LEAST_S
    buckets = np.floor(_PER_DECADE * np.log10(times) + 1e-9).astype(int)
    names, counts = np.unique(buckets, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def quantile_ms(times: Mapping[int, int], share: float) -> float | None:
    """The time in ms within which this share of answers was given, to 3 %; None without any."""
    total = sum(times.values())
    if not total:
        return None
    rank = max(1, math.ceil(share * total))
    for bucket in sorted(times):
        rank -= times[bucket]
        if rank <= 0:
            break
    return float(f"{1e3 * _LEAST_S * 10 ** ((bucket + 0.5) / _PER_DECADE):.3g}")
