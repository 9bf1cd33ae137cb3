"""Time buckets at three resolutions, so that 5 minutes, an hour and a day can be summed.

A fourth holds all that was ever counted, for readers that look at differences.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resolution:
    """Buckets of `width_s` seconds, kept for `kept_s`."""

    width_s: int
    kept_s: int

    def bucket(self, time_s: float) -> int:
        """The start of the bucket that holds `time_s`, seconds."""
        return int(time_s // self.width_s) * self.width_s

    def span(self, window_s: float, now: float) -> range:
        """Starts of the buckets that a window up to `now` touches."""
        first = self.bucket(now - window_s + self.width_s)
        return range(first, self.bucket(now) + self.width_s, self.width_s)


_EVER = 2**40
RESOLUTIONS = (
    Resolution(10, 15 * 60),
    Resolution(60, 70 * 60),
    Resolution(900, 25 * 3600),
    Resolution(_EVER, _EVER),
)
EVER_S = float(_EVER // 2)
"""A window that holds everything ever counted."""


def finest(window_s: float) -> Resolution:
    """The finest resolution that is kept for so long, the coarsest for anything longer."""
    return next(
        (one for one in RESOLUTIONS if one.kept_s >= window_s + one.width_s), RESOLUTIONS[-1]
    )


def places(time_s: float, now: float) -> list[tuple[Resolution, int]]:
    """The buckets that an event belongs to and that are still kept."""
    return [
        (one, one.bucket(time_s)) for one in RESOLUTIONS if now - one.bucket(time_s) < one.kept_s
    ]
