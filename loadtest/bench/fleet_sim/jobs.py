"""What agents do beside requests: read the store, lead, deliver counts, say that they are alive.

It follows `edge_agent.fleet.fleet` and `tracking.store.delivery`. What all agents but the leader do
is alike, so the Redis is asked for many at once; the leader is the product's own.
"""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from edge_agent.exporting import OLD_S
from edge_agent.fleet.leading import Leading
from hawkvision.cascade import Accuracy, AccuracyTarget, CascadePolicy
from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import AgentInfo, Batch
from loadtest.bench.fleet_sim.backlog import Backlog
from loadtest.bench.fleet_sim.ledger import Cost
from loadtest.bench.fleet_sim.members import Members
from loadtest.bench.fleet_sim.record import Record
from loadtest.bench.fleet_sim.settings import Simulation
from loadtest.bench.fleet_sim.store import SimulatedRedis
from loadtest.bench.fleet_sim.timeline import Timeline, at_once

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_LEAST_PAUSE_S = 0.05
_HEARTBEAT_S = 5.0
BEAT_EVERY_S = _HEARTBEAT_S / 3 + _LEAST_PAUSE_S
"""Between the end of one heartbeat and the begin of the next."""

_QUIET_S = 5.0
_WINDOW_S = 300.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_SELDOM_S = 5.0
_SELDOM_TRIPS = 2
"""Of a refresh that asks for apps and the fleet's key too."""

_LEADS_TRIPS = 4
"""Of who leads: the lead, what is fresh, thresholds twice; publishing is a fifth."""

_FLUSH_S = 60.0
"""At the end; longer than agents have, for the simulation's books to be closed."""

_NOTHING = Cost({}, 0, 0, 0)


class Jobs:
    """Of all agents; `run` does what is due. `table` float64 [versions, targets] holds thresholds
    in force, the last row those that the Redis has."""

    def __init__(
        self,
        plan: Simulation,
        members: Members,
        policy: CascadePolicy,
        store: SimulatedRedis,
        timeline: Timeline,
        record: Record,
        task: str,
        seed: np.random.Generator,
        chance: random.Random,
    ) -> None:
        self._plan = plan
        self._members = members
        self._policy = policy
        self._store = store
        self._timeline = timeline
        self._record = record
        self._task = task
        self._chance = chance
        self._targets = [policy.resolve(Accuracy(target)) for target in plan.targets]
        self.table = np.array([[target.threshold for target in self._targets]])
        self._every_s, agents = plan.agent.every_s, plan.agents
        self._refresh_at = seed.random(agents) * (self._every_s + _LEAST_PAUSE_S)
        self._deliver_at = seed.random(agents) * self._every_s
        self._beat_every_s = BEAT_EVERY_S + plan.agent.store_s
        self._beat_at = seed.random(agents) * self._beat_every_s
        self._scrape_at = seed.random(agents) * plan.agent.scrape_s
        self._kept_until = 0.0
        self._kept = _NOTHING
        self._pause_s = np.full(agents, _FIRST_PAUSE_S)
        self.away = np.zeros(agents, np.bool_)
        self._heard = 0.0
        self._leaders: dict[int, Leading] = {}
        info = AgentInfo("0" * 12, "http://127.0.0.1:40000", (plan.task,), 1.7e9 + 0.1, 1.7e9 + 0.2)
        self._beat = store.costs.heartbeat(info)
        self._seldom_at = np.zeros(agents)
        self._led = np.zeros(agents, np.bool_)
        store.on_publish = self._published
        self._told_at: float | None = None
        self._knew_clock = np.zeros(agents, np.bool_)

    def run(self, until: float) -> None:
        """Everything that is due before then; the timeline stands there afterwards."""
        self._refreshes(until)
        self._deliveries(until)
        self._beats(until)
        if self._plan.agent.scrape_s > 0:
            self._scrapes(until)
        self._listen(until)
        self._timeline.now = until

    # Refreshing, and leading.

    def _refreshes(self, until: float) -> None:
        due = np.flatnonzero(self._refresh_at < until)
        due = due[np.argsort(self._refresh_at[due], kind="stable")]
        times = self._refresh_at[due]
        out = self._store.out_at(times)
        if out.any():
            self._away(due[out])
            self._refresh_at[due[out]] = times[out] + self._every_s + _LEAST_PAUSE_S
        due, times = due[~out], times[~out]
        if not len(due):
            return
        self._record.refreshes += len(due)
        leader = self._who_leads(due, times)
        if leader is not None:
            self._lead(int(due[leader]), float(times[leader]))
            others = np.arange(len(due)) != leader
            due, times = due[others], times[others]
        self._follow(due, times)

    def _who_leads(self, due: Integers, times: Floats) -> int | None:
        """The place among those due of who has the lead, or takes it as the first that may."""
        holder, until = self._store.leader(self._task)
        for place in np.flatnonzero((times >= until) & ~self._led[due]):
            return int(place)
        mine = due == int(holder) if holder else np.zeros(len(due), np.bool_)
        return int(mine.argmax()) if mine.any() else None

    def _lead(self, agent: int, time_s: float) -> None:
        self._timeline.now = time_s
        leading = self._leaders.get(agent)
        if leading is None:
            policies = {self._task: self._policy}
            leading = Leading(policies, self._store, str(agent), control=True)
            self._leaders[agent] = leading
        store, costs = self._store, self._store.costs
        seldom = time_s >= self._seldom_at[agent]
        on = False
        try:
            if seldom:
                store.serve(costs.apps + costs.secret)
                self._seldom_at[agent] = time_s + _SELDOM_S
            self._members.look([agent] if self._members.seen[agent] else [])
            on = at_once(leading.refresh(self._task, time_s))
            done = store.serve(_NOTHING)
        except StoreUnavailable:
            self._away(np.array([agent]))
            done = time_s + self._store.timeout_s
        row = np.array([self._in_force(leading, target) for target in self._targets])
        if not np.array_equal(row, self.table[-1]):
            self.table = np.vstack([self.table, row])
            self._record.thresholds.append((time_s, row))
        self._members.version[agent] = len(self.table) - 1
        trips = _LEADS_TRIPS + (self._told_at is not None) + _SELDOM_TRIPS * seldom
        if self._told_at is not None:
            told_at = self._told_at + trips * self._plan.agent.store_s
            self._timeline.at(told_at, self._tell, len(self.table) - 1)
            self._told_at = None
        self._next(np.array([agent]), np.array([done]), trips)
        if on:
            self._refresh_at[agent] -= self._every_s

    def _tell(self, version: int) -> None:
        """Everybody hears which thresholds are in force."""
        known = self._members.version
        np.maximum(known, version, out=known)

    def _away(self, agents: Integers) -> None:
        self.away[agents] = True
        self._seldom_at[agents] = 0.0

    def _in_force(self, leading: Leading, target: AccuracyTarget) -> float:
        return leading.in_force(self._task, target, "").threshold

    def _follow(self, due: Integers, times: Floats) -> None:
        if not len(due):
            return
        members = self._members
        costs, reading = self._store.costs, self._store.reading
        seldom = times >= self._seldom_at[due]
        asks = ~self._led[due]
        self._led[due] = asks
        self._seldom_at[due] = np.where(seldom, times + _SELDOM_S, self._seldom_at[due])
        more = costs.apps + costs.secret
        kinds = [reading, reading + more, reading + costs.no_lead, reading + costs.no_lead + more]
        done = self._store.serve_mixed(times, kinds, seldom + 2 * asks)
        late = np.isnan(done)
        done = np.where(late, times + self._store.timeout_s, done)
        read = due[~late]
        self._away(due[late])
        members.version[read] = len(self.table) - 1
        members.look(read[members.seen[read] > 0].tolist())
        self._next(due, done, 1 + asks + _SELDOM_TRIPS * seldom)

    def _next(self, agents: Integers, done: Floats, trips: Integers | int) -> None:
        done = done + trips * self._plan.agent.store_s
        self._refresh_at[agents] = done + _LEAST_PAUSE_S + self._every_s

    def _published(self, told_at: float) -> None:
        self._heard = self._timeline.now
        self._told_at = told_at

    # Counts on their way to the store.

    def _deliveries(self, until: float) -> None:
        due = np.flatnonzero(self._deliver_at < until)
        due = due[np.argsort(self._deliver_at[due], kind="stable")]
        members = self._members
        idle = ~(members.counted[due] | self.away[due])
        nothing = due[idle]
        self._deliver_at[nothing] += self._every_s
        for agent in due[~idle].tolist():
            self._timeline.now = float(self._deliver_at[agent])
            self._deliver(agent)

    def _deliver(self, agent: int) -> None:
        """One round: what was counted goes to the store, after what waited before."""
        members, now = self._members, self._timeline.now
        batch = members.counters[agent].take(now)
        members.counted[agent] = False
        backlog = members.backlogs.get(agent)
        if batch is not None and backlog is None:
            try:
                done = self._send(agent, batch)
            except StoreUnavailable:
                members.backlogs[agent] = Backlog()
                members.backlogs[agent].append(batch)
                self._no_answer(agent)
            else:
                self._back(agent, done)
            return
        if batch is not None and backlog is not None:
            backlog.append(batch)
        self._go_on(agent)

    def _go_on(self, agent: int) -> None:
        """The oldest batch that waits, one call after the other, until none does."""
        self._deliver_at[agent] = np.inf
        backlog = self._members.backlogs.get(agent)
        oldest = None if backlog is None else backlog.oldest()
        try:
            if backlog is None or oldest is None:
                if self.away[agent]:  # nothing waits that would show whether it is back
                    self._store.serve(self._store.costs.apps)
                self._back(agent, self._timeline.now)
                return
            done = self._send(agent, oldest)
        except StoreUnavailable:
            self._no_answer(agent)
            return
        self.away[agent] = False
        backlog.remove()
        if not backlog:
            self._record.dropped += self._store.missing(backlog.dropped)
            del self._members.backlogs[agent]
        self._timeline.at(done, self._go_on, agent)

    def _send(self, agent: int, batch: Batch) -> float:
        if not self._knew_clock[agent]:
            self._store.serve(self._store.costs.now)
            self._knew_clock[agent] = True
        done = self._store.deliver(batch, self._timeline.now - batch.time_s)
        return done + self._plan.agent.store_s

    def _back(self, agent: int, done: float) -> None:
        """All is delivered."""
        self.away[agent] = False
        self._pause_s[agent] = _FIRST_PAUSE_S
        self._deliver_at[agent] = done + self._every_s

    def _no_answer(self, agent: int) -> None:
        self.away[agent] = True
        pause = self._pause_s[agent]
        self._deliver_at[agent] = self._timeline.now + pause * self._chance.uniform(0.8, 1.2)
        self._pause_s[agent] = min(2 * pause, _LONGEST_PAUSE_S)

    def flush(self) -> None:
        """At the end, as agents close: everything to the store, if it is there."""
        for agent in range(self._plan.agents):
            if self._members.counted[agent] or agent in self._members.backlogs:
                self._deliver(agent)
        self._timeline.run(self._timeline.now + _FLUSH_S)

    # Being alive, gauges, and listening.

    def _beats(self, until: float) -> None:
        due = np.flatnonzero(self._beat_at < until)
        times = np.sort(self._beat_at[due])
        self._beat_at[due] += self._beat_every_s
        self._serve_if_there(times, self._beat)

    def _scrapes(self, until: float) -> None:
        """A scraped agent reads the last five minutes, unless another has just done so."""
        due = np.flatnonzero(self._scrape_at < until)
        times = np.sort(self._scrape_at[due])
        self._scrape_at[due] += self._plan.agent.scrape_s
        if len(times) and times[0] >= self._kept_until and not self._store.out(times[0]):
            self._timeline.now = until
            first, self._kept = self._store.window_of_all(_WINDOW_S)
            self._store.serve_many(times[:1], first)
            self._kept_until = times[0] + OLD_S
            times = times[1:]
        self._serve_if_there(times, self._kept)

    def _serve_if_there(self, times: Floats, cost: Cost) -> None:
        there = ~self._store.out_at(times)
        if there.any():
            self._store.serve_many(times[there], cost)

    def _listen(self, until: float) -> None:
        """Whoever hears nothing for a while asks whether the Redis is there."""
        if until - self._heard > _QUIET_S:
            self._heard = until
            if not self._store.out(until):
                everybody = np.full(self._plan.agents, until)
                self._store.serve_many(everybody, self._store.costs.ping)
