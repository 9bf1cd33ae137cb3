"""The last ten minutes by seconds and the last day by minutes. `now` comes in; no I/O.

Times are whole seconds of a clock that never goes back and that all processes of the machine share.
What is over is kept as it is drawn; only the newest second and minute still take anything in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields
from typing import Any

from edge_agent.dashboard.ticks import Point, Tick

SECONDS = 600
MINUTES = 1440
_LAST_S = 60
_NAMES = tuple(field.name for field in fields(Point))


class Spans:
    """Spans of `length_s` seconds each, the last `most` of them.

    A span is over, and takes nothing more, `grace_s` after its end.
    """

    def __init__(self, length_s: int, most: int, grace_s: int) -> None:
        self._length_s = length_s
        self._grace_s = grace_s
        self._open: dict[int, tuple[Tick, set[int]]] = {}
        self._over: deque[tuple[int, Point]] = deque(maxlen=most)

    def add(self, second: int, tick: Tick) -> None:
        """Add what was counted in a second; what comes too late counts for a later one."""
        if self._over:
            second = max(second, self._over[-1][0] + self._length_s)
        start = second - second % self._length_s
        known, seconds = self._open.get(start, (Tick(), set()))
        self._open[start] = (known + tick, seconds | {second})

    def close(self, now: float) -> list[Tick]:
        """Spans that are over become points; what was counted in them, oldest first."""
        closed = []
        for start in sorted(self._open):
            if start + self._length_s + self._grace_s > now:
                break
            tick, seconds = self._open.pop(start)
            self._over.append((start, tick.point(len(seconds))))
            closed.append(tick)
        return closed

    def columns(self, after: float) -> dict[str, list[Any]]:
        """Points that began after this time, oldest first: `t`, and a list for each quantity."""
        found = []
        for start, point in reversed(self._over):
            if start <= after:
                break
            found.append((start, point))
        found.reverse()
        columns: dict[str, list[Any]] = {"t": [start for start, _ in found]}
        return columns | {name: [getattr(point, name) for _, point in found] for name in _NAMES}

    def __len__(self) -> int:
        return len(self._over)


class History:
    """Seconds and minutes of a whole service; `grace_s` is how late its workers may tell."""

    def __init__(self, grace_s: int = 0) -> None:
        self.seconds = Spans(1, SECONDS, grace_s)
        self.minutes = Spans(60, MINUTES, grace_s)
        self._last: deque[Tick] = deque(maxlen=_LAST_S)

    def add(self, second: int, tick: Tick) -> None:
        """What one process counted in a second."""
        self.seconds.add(second, tick)
        self.minutes.add(second, tick)

    def close(self, now: float) -> None:
        """What is over is final."""
        self._last.extend(self.seconds.close(now))
        self.minutes.close(now)

    @property
    def last_seconds(self) -> int:
        """How many seconds `last_minute` is of: fewer than 60 soon after the start."""
        return len(self._last)

    def last_minute(self) -> Point | None:
        """The last 60 seconds that are over, together; None before there are any."""
        if not self._last:
            return None
        return sum(self._last, Tick()).point(len(self._last))
