"""How long one kind of work takes, as far as it is light: whether the event loop may do it itself.

Learned from every job, wherever it was done, and given up as soon as jobs take longer.
"""

from __future__ import annotations

MOST_S = 0.003
"""Work that takes longer than this, on average, is not for the event loop, seconds."""

_LEARN = 1 / 16
"""Weight of one job in the moving means: a single slow one of 50 ms shows at once."""


class Pace:
    """Sans-I/O; one for each kind of work (a network, say). Quick only once it is known to be.

    `most_s` is the longest mean time of a light job, in seconds.
    """

    __slots__ = ("_heavy", "_light_s", "_most_s")

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._light_s: float | None = None
        self._heavy = 0.0

    @property
    def quick(self) -> bool:
        """Whether most jobs are light, and light ones done within the time."""
        return self._light_s is not None and self._light_s <= self._most_s and self._heavy < 0.5

    @property
    def mean_s(self) -> float | None:
        """The mean time of a light job, seconds; None before the first one."""
        return self._light_s

    def learn(self, spent_s: float, *, light: bool) -> None:
        """A job is done, after so many seconds of work; heavy ones are not the loop's anyway."""
        self._heavy += _LEARN * ((not light) - self._heavy)
        if light and self._light_s is None:
            self._light_s = spent_s
        elif light and self._light_s is not None:
            self._light_s += _LEARN * (spent_s - self._light_s)
