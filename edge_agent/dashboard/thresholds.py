"""How thresholds moved, kept as the moments at which they changed. `now` comes in; no I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

MOST_SERIES = 12
_MOST_CHANGES = 200


class InForce(NamedTuple):
    """The threshold for a target of a task now, and the one that is certified.

    Above 1 everything escalates.
    """

    task: str
    target: str
    threshold: float
    certified: float


class Moves:
    """Of the tasks and targets that were asked last, each with its latest changes."""

    def __init__(self) -> None:
        self._series: OrderedDict[tuple[str, str], deque[tuple[int, float, float]]] = OrderedDict()

    def look(self, second: int, found: Iterable[InForce]) -> None:
        """Take in what is in force, named in any order; later ones stay longest."""
        for one in found:
            key = (one.task, one.target)
            changes = self._series.setdefault(key, deque(maxlen=_MOST_CHANGES))
            self._series.move_to_end(key)
            value = (round(one.threshold, 5), round(one.certified, 5))
            if not changes or changes[-1][1:] != value:
                changes.append((second, *value))
        while len(self._series) > MOST_SERIES:
            self._series.popitem(last=False)

    def as_list(self, after: float) -> list[dict[str, Any]]:
        """Series that changed after this time, with those changes."""
        found = []
        for (task, target), changes in self._series.items():
            fresh = [one for one in changes if one[0] > after]
            if fresh:
                found.append(
                    {
                        "task": task,
                        "target": target,
                        "t": [one[0] for one in fresh],
                        "threshold": [one[1] for one in fresh],
                        "certified": [one[2] for one in fresh],
                    }
                )
        return sorted(found, key=lambda one: (str(one["task"]), str(one["target"])))
