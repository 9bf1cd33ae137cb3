"""Time buckets at three resolutions, so that 5 minutes, an hour and a day can be summed.

Time is the store's own, which all who share it agree on. Of an event only its age is asked: the
clocks of agents are wrong until the network has set them, and jump when it does.
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


RESOLUTIONS = (
    Resolution(10, 15 * 60),
    Resolution(60, 70 * 60),
    Resolution(900, 25 * 3600),
)


def finest(window_s: float) -> Resolution:
    """The finest resolution that is kept for so long, the coarsest for anything longer."""
    return next(
        (one for one in RESOLUTIONS if one.kept_s >= window_s + one.width_s), RESOLUTIONS[-1]
    )


def places(age_s: float, now: float) -> list[tuple[Resolution, int]]:
    """The buckets that an event of this age belongs to and that are still kept.

    An age below zero, or beyond all that is kept, says that a clock jumped: the event is counted
    as of now, so that no batch is lost to a wrong clock.
    """
    time_s = now - age_s if 0 <= age_s < RESOLUTIONS[-1].kept_s else now
    return [
        (one, one.bucket(time_s)) for one in RESOLUTIONS if now - one.bucket(time_s) < one.kept_s
    ]
