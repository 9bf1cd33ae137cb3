"""A Redis that is none: the product's store in memory, with what its calls would cost a server.

It can be out. It works one call after the other, as Redis does, and takes the time that its costs
say; whoever would wait longer than agents do gets no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey, Counts, Fresh, ThresholdState, merge
from hawkvision.tracking.store.bound import bounded
from hawkvision.tracking.store.buckets import finest
from hawkvision.tracking.store.memory import MemoryStore
from loadtest.bench.fleet_sim.ledger import CLOCK_OFF_S, Cost, Costs, Hash, Ledger, hash_of
from loadtest.bench.fleet_sim.timeline import Timeline, at_once

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_EPOCH_S = 1.0e6
_AGES_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Seconds of one core for a command that is sent, one that a script runs, a field that it
    reads, and one listener that is told something; agents give up after `timeout_s`."""

    sent_s: float
    inner_s: float
    field_s: float
    told_s: float
    timeout_s: float = 0.5

    def of(self, cost: Cost) -> float:
        """What a call takes."""
        return cost.sent * self.sent_s + cost.inner * self.inner_s + cost.fields * self.field_s


class SimulatedRedis(MemoryStore):
    """See `Store`. `listeners` are told what changes; `outage` is (begin, end), seconds."""

    def __init__(
        self,
        timeline: Timeline,
        task: str,
        server: Server,
        listeners: int,
        outage: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(clock=lambda: _EPOCH_S + timeline.now)
        self.ledger = Ledger()
        self.costs = Costs(task)
        self.busy_s = 0.0
        self.calls = 0
        self.timeouts = 0
        self.publications = 0
        self.answers = 0.0
        self.on_publish: Callable[[float], None] = lambda _: None
        self._server = server
        self._timeline = timeline
        self._listeners_told = listeners
        self._outage = outage
        self._free_at = 0.0
        self._seen: set[CountKey] = set()
        self._unheard: set[str] = set()
        self._begun = False
        self._page = 0
        self._gathered: dict[int, dict[CountKey, dict[str, float]]] = {}
        self._number = 0
        self._reading: Cost | None = None
        self._closed: dict[int, Hash] = {}
        self._everything: dict[CountKey, dict[str, float]] = {}

    # Whether it is there, and when it has time.

    @property
    def timeout_s(self) -> float:
        """So long agents wait for an answer."""
        return self._server.timeout_s

    def out(self, time_s: float) -> bool:
        """Whether nobody answers then."""
        return self._outage is not None and self._outage[0] <= time_s < self._outage[1]

    def out_at(self, times: Floats) -> Flags:
        """As `out`, for many times [N]."""
        if self._outage is None:
            return np.zeros(len(times), np.bool_)
        return np.asarray((self._outage[0] <= times) & (times < self._outage[1]))

    def _check(self) -> None:
        if self.out(self._timeline.now):
            raise StoreUnavailable("the simulated Redis is out")

    def serve(self, cost: Cost) -> float:
        """One call now; when it is answered. Raises StoreUnavailable where that is too late."""
        self._check()
        now, took = self._timeline.now, self._server.of(cost)
        self.ledger.note(cost)
        self.busy_s += took
        self.calls += 1
        begin = max(now, self._free_at)
        self._free_at = begin + took
        if begin - now > self._server.timeout_s:
            self.timeouts += 1
            raise StoreUnavailable("the simulated Redis has no time")
        return begin + took

    def serve_many(self, times: Floats, cost: Cost) -> Floats:
        """Calls alike at rising times, float64 [N]; when each is answered, NaN where too late.

        The work is done even for those who have given up.
        """
        return self.serve_mixed(times, [cost], np.zeros(len(times), np.int64))

    def serve_mixed(self, times: Floats, costs: Sequence[Cost], which: Integers) -> Floats:
        """As `serve_many`, with the place of each one's cost among `costs`, int64 [N]."""
        if not len(times):
            return times
        for place, cost in enumerate(costs):
            self.ledger.note(cost, int((which == place).sum()))
        took = np.array([self._server.of(cost) for cost in costs])[which]
        self.busy_s += float(took.sum())
        before = np.cumsum(took) - took
        begins = before + np.maximum.accumulate(np.maximum(times, self._free_at) - before)
        self._free_at = float(begins[-1] + took[-1])
        late = begins - times > self._server.timeout_s
        self.calls += len(times)
        self.timeouts += int(late.sum())
        return np.where(late, np.nan, begins + took)

    # Counts. Those of many batches are gathered and added together: they are sums.

    def deliver(self, batch: Batch, age_s: float) -> float:
        """As `add`; when it is answered. Raises StoreUnavailable.

        Who has given up sends the batch again, which is then there; too long on its way it is told
        to look at the clock, and nothing is added.
        """
        self._check()
        new = {key for key in batch.counts if key not in self._seen and bounded(key)}
        cost = self.costs.add(batch, age_s, self._clock(), len(new), begins=not self._begun)
        too_old = self._free_at - self._timeline.now > CLOCK_OFF_S
        if too_old or batch.batch_id in self._unheard:
            done = self.serve(self.costs.not_added(cost, again=not too_old))
        else:
            self._take_in(batch, age_s, new)
            self._unheard.add(batch.batch_id)
            done = self.serve(cost)
        self._unheard.discard(batch.batch_id)
        return done

    def missing(self, batches: Iterable[Batch]) -> float:
        """Answers in batches that agents keep, without those that are here unheard of."""
        return sum(answers_of(one.counts) for one in batches if one.batch_id not in self._unheard)

    def _take_in(self, batch: Batch, age_s: float, new: set[CountKey]) -> None:
        self._seen |= new
        self._begin()
        self.answers += answers_of(batch.counts)
        merge(self._gathered.setdefault(int(age_s // _AGES_S), {}), batch.counts)

    def _begin(self) -> None:
        if not self._begun:
            self._begun, self._page = True, 1

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        """See `Store.add`."""
        self.deliver(batch, age_s)

    def settle(self) -> None:
        """Add what was gathered."""
        gathered, self._gathered = self._gathered, {}
        for age, counts in gathered.items():
            self._number += 1
            batch = Batch(str(self._number), 0.0, counts)
            merge(self._everything, counts)
            at_once(super().add(batch, age * _AGES_S))
            if age:  # a bucket that was closed has changed
                self._closed.clear()

    @property
    def everything(self) -> dict[CountKey, dict[str, float]]:
        """All that was ever added, however long ago; once it is settled."""
        return self._everything

    async def counts(
        self, task: str, *, window_s: float, old_s: float = 0.0
    ) -> dict[CountKey, dict[str, float]]:
        """See `Store.counts`."""
        self.settle()
        return await super().counts(task, window_s=window_s)

    async def since(self, task: str, cursor: str | None) -> Fresh:
        """See `Store.since`."""
        self._check()
        self.settle()
        if not self._begun:  # the script makes the pages, and then turns none
            self._begin()
            self.ledger.note(Cost({"hset": 1, "del": 4}, 0, 0, 0))
        fresh = await super().since(task, cursor)
        page = int(fresh.cursor.partition(":")[2])
        first = int((cursor or ":0").partition(":")[2])
        behind = not fresh.baseline and first < self._page
        cost = self.costs.since(fresh.counts, behind=behind, turned=page != self._page)
        self._page = page
        self.serve(cost)
        return fresh

    def window(self, window_s: float) -> Cost:
        """What it costs to read a window that ends now."""
        self.settle()
        resolution = finest(window_s)
        starts = resolution.span(window_s, self._clock())
        found = []
        for start in starts:
            bucket = self._buckets.get((self.costs.name, resolution.width_s, start))
            if bucket is None:
                continue
            if start == starts[-1]:
                found.append(hash_of(bucket))
                continue
            if start not in self._closed:
                self._closed[start] = hash_of(bucket)
            found.append(self._closed[start])
        return self.costs.read(len(starts), found)

    def window_of_all(self, window_s: float) -> tuple[Cost, Cost]:
        """What a shared read of a window costs who finds none, and those who find it."""
        self.settle()
        resolution, found = finest(window_s), dict[CountKey, dict[str, float]]()
        for start in resolution.span(window_s, self._clock()):
            key = (self.costs.name, resolution.width_s, start)
            merge(found, self._buckets.get(key, {}))
        keep, reply = self.costs.keep(found)
        return self.costs.ask_kept(0) + self.window(window_s) + keep, self.costs.ask_kept(reply)

    # Thresholds and who leads.

    @property
    def reading(self) -> Cost:
        """What it costs to read the thresholds in force."""
        if self._reading is None:
            self._reading = self.costs.thresholds(self._thresholds.get(self.costs.name, {}))
        return self._reading

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """See `Store.thresholds`."""
        self._check()
        self.serve(self.reading)
        return await super().thresholds(task)

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """See `Store.put_thresholds`."""
        self._check()
        await super().put_thresholds(task, states, fence)
        self._reading = None
        self.serve(self.costs.put(states, fence))
        self._tell_listeners(self.costs.pushed(states))

    def _tell_listeners(self, size: int) -> None:
        told = self._listeners_told
        self.publications += 1
        self.ledger.bytes_out += told * size
        took = told * self._server.told_s
        self.busy_s += took
        self._free_at = max(self._free_at, self._timeline.now) + took
        self.on_publish(self._free_at)

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """See `Store.take_lead`."""
        self._check()
        before = self._fences.get(task, 0)
        fence = await super().take_lead(task, agent_id, ttl_s)
        if fence is None:
            cost = self.costs.no_lead
        else:
            cost = self.costs.renew_lead if fence == before else self.costs.take_lead
        self.serve(cost)
        return fence

    def leader(self, task: str) -> tuple[str, float]:
        """Who leads, and until what time of the timeline unless the lead is renewed."""
        holder, until = self._leads.get(task, ("", 0.0))
        return holder, until - _EPOCH_S


def answers_of(counted: Counts) -> float:
    """How many answers there are in counts."""
    return sum(
        amount
        for sums in counted.values()
        for name, amount in sums.items()
        if name.startswith("answers/")
    )
