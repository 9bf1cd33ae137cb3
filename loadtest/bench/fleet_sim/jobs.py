"""What agents do beside requests: read the store, lead, deliver counts, say that they are alive.

It follows `edge_agent.fleet.fleet` and `tracking.store.delivery`. What all agents but the leader do
is alike, so the Redis is asked for many at once; the leader is the product's own.
"""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from edge_agent.fleet.leading import Leading
from hawkvision.cascade import Accuracy, AccuracyTarget, CascadePolicy
from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import AgentInfo, Batch, Counts
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
_QUIET_S = 5.0
_EXPORT_S = 5.0
_WINDOW_S = 300.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_ROUND_TRIPS = 4
"""Of a refresh: apps, secret, lead, thresholds."""

_NOTHING = Cost({}, 0, 0, 0)


def answers_of(counted: Counts) -> float:
    """How many answers there are in counts."""
    return sum(
        amount
        for sums in counted.values()
        for name, amount in sums.items()
        if name.startswith("answers/")
    )


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
        self._refreshed = np.zeros(agents)
        self._deliver_at = seed.random(agents) * self._every_s
        self._beat_every_s = _HEARTBEAT_S / 3 + _LEAST_PAUSE_S
        self._beat_at = seed.random(agents) * self._beat_every_s
        self._export_every_s = _EXPORT_S + _LEAST_PAUSE_S
        self._export_at = seed.random(agents) * self._export_every_s
        self._pause_s = np.full(agents, _FIRST_PAUSE_S)
        self.away = np.zeros(agents, np.bool_)
        self._heard = 0.0
        self._leaders: dict[int, Leading] = {}
        info = AgentInfo("0" * 12, "http://127.0.0.1:40000", (plan.task,), 1.7e9 + 0.1, 1.7e9 + 0.2)
        self._beat = store.costs.heartbeat(info)
        self._poll = store.costs.apps + store.costs.secret + store.costs.no_lead
        store.on_publish = self._published
        self._published_at: float | None = None
        self._knew_clock = np.zeros(agents, np.bool_)

    def run(self, until: float) -> None:
        """Everything that is due before then; the timeline stands there afterwards."""
        self._refreshes(until)
        self._deliveries(until)
        self._beats(until)
        self._exports(until)
        self._listen(until)
        self._timeline.now = until

    # Refreshing, and leading.

    def _refreshes(self, until: float) -> None:
        due = np.flatnonzero(self._refresh_at < until)
        due = due[np.argsort(self._refresh_at[due], kind="stable")]
        times = self._refresh_at[due]
        out = np.array([self._store.out(one) for one in times], np.bool_)
        if out.any():
            self.away[due[out]] = True
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
        if self._published_at is not None:
            self._wake(self._published_at)
            self._published_at = None

    def _who_leads(self, due: Integers, times: Floats) -> int | None:
        """The place among those due of who has the lead, or takes it as the first that may."""
        holder, until = self._store.leader(self._task)
        for place in np.flatnonzero(times >= until):
            return int(place)
        found = np.flatnonzero(due == int(holder)) if holder else []
        return int(found[0]) if len(found) else None

    def _lead(self, agent: int, time_s: float) -> None:
        self._timeline.now = time_s
        leading = self._leaders.get(agent)
        if leading is None:
            policies = {self._task: self._policy}
            leading = Leading(policies, self._store, str(agent), control=True)
            self._leaders = {agent: leading}
        store, costs = self._store, self._store.costs
        try:
            store.serve(costs.apps + costs.secret)
            self._members.look([agent] if self._members.seen[agent] else [])
            at_once(leading.refresh(self._task, time_s))
            done = store.serve(_NOTHING)
        except StoreUnavailable:
            self.away[agent] = True
            done = time_s + self._store.timeout_s
        row = np.array([self._in_force(leading, target) for target in self._targets])
        if not np.array_equal(row, self.table[-1]):
            self.table = np.vstack([self.table, row])
            self._record.thresholds.append((time_s, row))
        self._members.version[agent] = len(self.table) - 1
        self._next(np.array([agent]), np.array([done]))

    def _in_force(self, leading: Leading, target: AccuracyTarget) -> float:
        return leading.in_force(self._task, target, "").threshold

    def _follow(self, due: Integers, times: Floats) -> None:
        if not len(due):
            return
        members = self._members
        cost = self._poll + self._store.reading
        done = self._store.serve_many(times, cost)
        late = np.isnan(done)
        done = np.where(late, times + self._store.timeout_s, done)
        read = due[~late]
        self.away[due[late]] = True
        members.version[read] = len(self.table) - 1
        members.look(read[members.seen[read] > 0].tolist())
        self._next(due, done)

    def _next(self, agents: Integers, done: Floats) -> None:
        done = done + _ROUND_TRIPS * self._plan.agent.store_s
        self._refreshed[agents] = done
        self._refresh_at[agents] = done + _LEAST_PAUSE_S + self._every_s

    def _published(self) -> None:
        self._published_at = self._heard = self._timeline.now

    def _wake(self, time_s: float) -> None:
        """Who hears of a change refreshes at once, or as soon as it may again."""
        told = np.maximum(time_s + self._plan.agent.store_s / 2, self._refreshed + _LEAST_PAUSE_S)
        self._refresh_at = np.minimum(self._refresh_at, told)

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
        members, now = self._members, self._timeline.now
        batch = members.counters[agent].take(now)
        members.counted[agent] = False
        backlog = members.backlogs.get(agent)
        try:
            done = now
            if batch is not None and backlog is None and not self._store.out(now):
                done = self._send(agent, batch, now)
                batch = None
            elif batch is not None:
                backlog = members.backlogs.setdefault(agent, Backlog())
                backlog.append(batch)
            while backlog is not None and (oldest := backlog.oldest()) is not None:
                self._timeline.now = done
                done = self._send(agent, oldest, done)
                backlog.remove()
            if self.away[agent]:
                self._timeline.now = done
                done = self._store.serve(self._store.costs.apps)
        except StoreUnavailable:
            if batch is not None and agent not in members.backlogs:
                members.backlogs.setdefault(agent, Backlog()).append(batch)
            self.away[agent] = True
            pause = self._pause_s[agent]
            self._deliver_at[agent] = now + pause * self._chance.uniform(0.8, 1.2)
            self._pause_s[agent] = min(2 * pause, _LONGEST_PAUSE_S)
            return
        if backlog is not None:
            self._forget(agent, backlog)
        self.away[agent] = False
        self._pause_s[agent] = _FIRST_PAUSE_S
        self._deliver_at[agent] = done + self._every_s

    def _forget(self, agent: int, backlog: Backlog) -> None:
        self._record.dropped += sum(answers_of(batch.counts) for batch in backlog.dropped)
        del self._members.backlogs[agent]

    def _send(self, agent: int, batch: Batch, now: float) -> float:
        if not self._knew_clock[agent]:
            self._store.serve(self._store.costs.now)
            self._knew_clock[agent] = True
        done = self._store.deliver(batch, now - batch.time_s)
        return done + self._plan.agent.store_s

    def flush(self) -> None:
        """At the end, as agents close: everything to the store, if it is there."""
        for agent in range(self._plan.agents):
            if self._members.counted[agent] or agent in self._members.backlogs:
                self._timeline.now = max(self._timeline.now, float(self._deliver_at[agent]))
                self._deliver(agent)

    # Being alive, gauges, and listening.

    def _beats(self, until: float) -> None:
        due = np.flatnonzero(self._beat_at < until)
        times = np.sort(self._beat_at[due])
        self._beat_at[due] += self._beat_every_s
        self._serve_if_there(times, self._beat)

    def _exports(self, until: float) -> None:
        """Each agent reads the last five minutes for its gauges."""
        due = np.flatnonzero(self._export_at < until)
        times = np.sort(self._export_at[due])
        self._export_at[due] += self._export_every_s
        if len(due):
            self._timeline.now = until
            self._serve_if_there(times, self._store.window(_WINDOW_S))

    def _serve_if_there(self, times: Floats, cost: Cost) -> None:
        there = np.array([not self._store.out(one) for one in times], np.bool_)
        if there.any():
            self._store.serve_many(times[there], cost)

    def _listen(self, until: float) -> None:
        """Whoever hears nothing for a while asks whether the Redis is there."""
        if until - self._heard > _QUIET_S:
            self._heard = until
            if not self._store.out(until):
                everybody = np.full(self._plan.agents, until)
                self._store.serve_many(everybody, self._store.costs.ping)
