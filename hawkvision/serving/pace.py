"""How long one kind of work takes, as far as it is light: whether the event loop may do it itself.

Learned from every job, wherever it was done, and given up as soon as jobs take longer.
"""

from __future__ import annotations

MOST_S = 0.003
"""Work that takes longer than this, on average, is not for the event loop, seconds."""

ALONE_S = 0.0012
"""Of work that keeps a processor busy for less than this, on average, the event loop does all,
seconds. A thread that helped would want the interpreter as often as the loop does: each job would
cost both more, and together they would do little more. For several cores there are workers."""

_LEARN = 1 / 16
"""Weight of one job in the moving means: a single slow one of 50 ms shows at once."""

_ASK = 16
_LEARN_BUSY = 1 / 4


class Pace:
    """Sans-I/O; one for each kind of work (a network, say). Quick only once it is known to be.

    `most_s` is the longest mean time of a light job, in seconds; below `alone_s` nobody helps.
    """

    __slots__ = ("_alone_s", "_busy_s", "_heavy", "_light_s", "_most_s", "_until")

    def __init__(self, most_s: float = MOST_S, alone_s: float = ALONE_S) -> None:
        self._most_s = most_s
        self._alone_s = alone_s
        self._light_s: float | None = None
        self._busy_s: float | None = None
        self._until = 0
        self._heavy = 0.0

    @property
    def quick(self) -> bool:
        """Whether most jobs are light, and light ones done within the time."""
        return self._light_s is not None and self._light_s <= self._most_s and self._heavy < 0.5

    @property
    def mean_s(self) -> float | None:
        """The mean time of a light job, seconds; None before the first one."""
        return self._light_s

    @property
    def alone(self) -> bool:
        """Whether the event loop is best left alone with it. Of what is quick."""
        return self._busy_s is not None and self._busy_s < self._alone_s

    def asks(self) -> bool:
        """Whether it is to be measured how busy the next job keeps its thread: of one in sixteen.

        That clock is slow: some microseconds, tens on virtual machines.
        """
        self._until -= 1
        if self._until > 0:
            return False
        self._until = _ASK
        return True

    def learn(self, spent_s: float, busy_s: float | None = None, *, light: bool) -> None:
        """A job is done, after so many seconds, `busy_s` of them at work, where that was measured.

        Heavy ones are not the loop's anyway.
        """
        self._heavy += _LEARN * ((not light) - self._heavy)
        if not light:
            return
        if self._light_s is None:
            self._light_s = spent_s
        else:
            self._light_s += _LEARN * (spent_s - self._light_s)
        if busy_s is not None:
            before = busy_s if self._busy_s is None else self._busy_s
            self._busy_s = before + _LEARN_BUSY * (busy_s - before)
