"""One version on trial against the one before it: pairs of answers, and who judges them. No I/O.

Two answers whose briefs are equal err alike, whatever is right. Where they differ, a label that the
client sends decides; after a moment without one the data center's answer does, if there is one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from edge_agent.local import LocalTask
from hawkvision.updates.release import Rollout
from hawkvision.updates.verdict import Evidence, Pair, Verdict

_MOST_PENDING = 256
_MOST_LABELS = 1024


class Compared(NamedTuple):
    """What both versions answered to one request, in brief, and what computing took.

    `number` is the request's, None where no label can name it. `losses` (old, new) are what the
    data center's answer says, None without one. Milliseconds are 0 where they were not measured.
    """

    number: int | None
    old: bytes
    new: bytes
    losses: tuple[float, float] | None = None
    old_ms: float = 0.0
    new_ms: float = 0.0


class _Pending(NamedTuple):
    pair: Compared
    due: float


class Trial:
    """Fed with pairs and labels; `settle` takes in what has waited long enough."""

    def __init__(self, old: LocalTask, new: LocalTask, rollout: Rollout, agents: int) -> None:
        self.old = old
        self.new = new
        self.rollout = rollout
        self.evidence = Evidence(rollout, agents)
        self.under_way = 0
        self.image: bytes | None = None
        """An image that the old version answered lately."""
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._labels: OrderedDict[int, Any] = OrderedDict()

    @property
    def judged(self) -> int:
        """Pairs that say something."""
        return self.evidence.pairs - self.evidence.unjudged

    @property
    def verdict(self) -> Verdict:
        """What the evidence says."""
        return self.evidence.verdict

    def other(self, local: LocalTask) -> LocalTask | None:
        """The version that an answer of `local` is compared with."""
        if local is self.old:
            return self.new
        return self.old if local is self.new else None

    def failed(self, local: LocalTask) -> None:
        """One version answered a request, and `local` could not."""
        old = float(local is self.old)
        self._see(Pair(old, 1.0 - old))

    def unjudged(self) -> None:
        """A comparison that came to nothing through no fault of the version."""
        self._see(Pair(None, None))

    def compared(self, pair: Compared, now: float) -> None:
        """Both answered. `now` in seconds, of a clock that only goes on."""
        number = pair.number if "labels" in self.rollout.judges else None
        if pair.old == pair.new:
            self._see(Pair.same(pair.old_ms, pair.new_ms))
        elif number is None:
            self._give_up(pair)
        elif number in self._labels:
            self._judge(pair, self._labels.pop(number))
        else:
            self._wait(number, pair, now)

    def _wait(self, number: int, pair: Compared, now: float) -> None:
        self._pending[number] = _Pending(pair, now + self.rollout.label_wait_s)
        if len(self._pending) > _MOST_PENDING:
            self._give_up(self._pending.popitem(last=False)[1].pair)

    def labelled(self, number: int, truth: Any) -> None:
        """A client says what was right; it may come before the comparison has ended."""
        found = self._pending.pop(number, None)
        if found is not None:
            self._judge(found.pair, truth)
            return
        self._labels[number] = truth
        if len(self._labels) > _MOST_LABELS:
            self._labels.popitem(last=False)

    def settle(self, now: float) -> None:
        """No label came in time for some."""
        while self._pending:
            number, first = next(iter(self._pending.items()))
            if first.due > now:
                return
            del self._pending[number]
            self._give_up(first.pair)

    def _judge(self, pair: Compared, truth: Any) -> None:
        judge = self.old.task.kind.judge
        old, new = judge(pair.old, truth), judge(pair.new, truth)
        self._see(Pair(old, new, pair.old_ms, pair.new_ms))

    def _give_up(self, pair: Compared) -> None:
        old, new = pair.losses or (None, None)
        self._see(Pair(old, new, pair.old_ms, pair.new_ms))

    def _see(self, pair: Pair) -> None:
        self.evidence = self.evidence.see(pair)
