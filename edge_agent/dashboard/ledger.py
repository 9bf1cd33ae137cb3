"""What the page shows of the past, of one agent or of all workers of a service. No I/O."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_agent.dashboard.history import History
from edge_agent.dashboard.thresholds import InForce, Moves
from edge_agent.dashboard.ticks import Tick

KEPT = 40
"""Answers."""

FRESH_S = 5
"""So long each second is told again, so that who misses some misses nothing."""

_FRESH_MINUTES_S = 150
_SILENT_S = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What one process says of a second: `who` among the workers, its open streams, and the rest.

    `answers` are as `Recent.take` gives them.
    """

    who: int
    second: int
    tick: Tick
    in_force: Sequence[InForce] = ()
    answers: Sequence[dict[str, Any]] = ()
    streams: int = 0

    def as_list(self) -> list[Any]:
        """For JSON between processes of one service."""
        return [
            self.who,
            self.second,
            self.tick.as_list(),
            [list(one) for one in self.in_force],
            list(self.answers),
            self.streams,
        ]

    @classmethod
    def of_list(cls, told: list[Any]) -> Told:
        """From `as_list` of the same version."""
        who, second, tick, in_force, answers, streams = told
        found = [InForce(*one) for one in in_force]
        return cls(who, second, Tick.of_list(tick), found, answers, streams)


class Ledger:
    """The last day, thresholds and answers; `pictures` of the newest so many answers are kept."""

    def __init__(self, *, pictures: int = 0, grace_s: int = 0) -> None:
        self._history = History(grace_s)
        self._moves = Moves()
        self._answers: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._pictures = pictures
        self._numbers = itertools.count(1)
        self._streams: dict[int, tuple[int, int]] = {}

    def add(self, told: Told) -> None:
        """Take in what a process says."""
        self._history.add(told.second, told.tick)
        self._moves.look(told.second, told.in_force)
        self._streams[told.who] = (told.second, told.streams)
        for answer in told.answers:
            self._answers.append({"number": next(self._numbers), **answer})
        with_picture = [one for one in self._answers if one.get("picture")]
        for one in with_picture[: max(0, len(with_picture) - self._pictures)]:
            one["picture"] = None

    def whole(self, now: float) -> dict[str, Any]:
        """Everything, for who has just come."""
        return self._since(now, float("-inf"), float("-inf"))

    def fresh(self, now: float) -> dict[str, Any]:
        """What the last seconds brought."""
        return self._since(now, now - FRESH_S - 1, now - _FRESH_MINUTES_S)

    def _since(self, now: float, after: float, minutes_after: float) -> dict[str, Any]:
        self._history.close(now)
        minute = self._history.last_minute()
        return {
            "now": round(now, 2),
            "last_minute": None if minute is None else asdict(minute),
            "last_seconds": self._history.last_seconds,
            "seconds": self._history.seconds.columns(after),
            "minutes": self._history.minutes.columns(minutes_after),
            "thresholds": self._moves.as_list(after),
            "answers": [one for one in self._answers if one["t"] > after],
            "streams": sum(
                count for second, count in self._streams.values() if now - second <= _SILENT_S
            ),
        }
