"""A token bucket as one number: the time at which it would be full again (GCRA, ITU-T I.371)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` requests a second in the long run, `burst` at once after a silence (at least 1)."""

    per_s: float
    burst: float

    def take(self, full_at: float, now: float) -> tuple[float, float]:
        """One more request at `now`, seconds: when the bucket is full again, and how long to wait.

        The wait is 0 where the request may pass; else `full_at` is as it was.
        """
        interval = 1 / self.per_s
        full_at_most = now + (self.burst - 1) * interval
        start = max(full_at, now)
        if start > full_at_most:
            return full_at, start - full_at_most
        return start + interval, 0.0


class Meters(Protocol):
    """A number for each bucket, by its place; 0 for one that nobody has used."""

    def __getitem__(self, place: int, /) -> float:
        """When this bucket is full again."""
        ...

    def __setitem__(self, place: int, value: float, /) -> None:
        """See `Rate.take`."""
        ...
