"""A simulated fleet, first request to last: requests by the tick, calls by the event."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_agent.fleet.leading import Leading
from hawkvision.cascade import CascadePolicy
from hawkvision.repository import Repository, shipped_repository
from hawkvision.tracking.versions import counted
from loadtest.bench.fleet_sim.gateway import SimulatedGateway
from loadtest.bench.fleet_sim.jobs import Jobs
from loadtest.bench.fleet_sim.members import Members
from loadtest.bench.fleet_sim.record import EXPECTED, Record
from loadtest.bench.fleet_sim.settings import Simulation
from loadtest.bench.fleet_sim.store import SimulatedRedis, answers_of
from loadtest.bench.fleet_sim.timeline import Timeline
from loadtest.bench.fleet_sim.traffic import Floats, Integers, Traffic

TICK_S = 0.05
"""Requests of a tick are drawn together, and go by the thresholds that agents know at its start."""

_LAST_S = 3.0
"""After the last request: answers that are still under way."""


@dataclass(frozen=True)
class Ran:
    """What came of a simulation."""

    plan: Simulation
    record: Record
    gateways: tuple[SimulatedGateway, ...]
    store: SimulatedRedis
    traffic: Traffic
    policy: CascadePolicy
    requests: int
    second_calls: int


class SimulatedFleet:
    """One fleet. `run` it once. `traffic` None: the task's calibration.

    Raises HawkVisionError for a task or targets that cannot be.
    """

    def __init__(self, plan: Simulation, traffic: Traffic | None = None) -> None:
        task = Repository(shipped_repository()).open(plan.task)
        self.plan = plan
        self.traffic = traffic or Traffic.of(task, plan.drift)
        self.policy = CascadePolicy(task.scores(), task.default_accuracy, tiers=task.tiers)
        self.timeline = Timeline()
        self.record = Record.of(plan.seconds + _LAST_S, len(plan.targets))
        self._rng = np.random.default_rng(plan.seed)
        chance = random.Random(plan.seed)
        self._task = name = counted(task.name, task.version)
        self.store = SimulatedRedis(self.timeline, name, plan.server, plan.agents, plan.outage)
        self.gateways = tuple(
            SimulatedGateway(self.timeline, plan.costs, chance) for _ in range(plan.gateways)
        )
        self.members = Members(
            plan, self.policy, self.traffic, self.gateways, self.timeline, self.record, name, chance
        )
        self.jobs = Jobs(
            plan,
            self.members,
            self.policy,
            self.store,
            self.timeline,
            self.record,
            name,
            self._rng,
            chance,
        )
        # Each agent has two kinds of clients: one kind in turn, one by chance.
        agents, targets = np.arange(plan.agents), len(plan.targets)
        second = self._rng.integers(targets, size=plan.agents)
        self._asked = np.stack([agents % targets, second], axis=1)
        self._confidence = self.traffic.confidence.reshape(-1)
        self._requests = 0

    def run(self, progress: Callable[[float], None] = lambda _: None) -> Ran:
        """All of it; `progress` is told each virtual second that has passed."""
        log = logging.getLogger(Leading.__module__)
        level = log.level
        log.setLevel(logging.CRITICAL)  # thresholds that move are the result, and no news
        try:
            return self._run(progress)
        finally:
            log.setLevel(level)

    def _run(self, progress: Callable[[float], None]) -> Ran:
        plan, timeline = self.plan, self.timeline
        ticks = round(plan.seconds / TICK_S)
        each_second = round(1 / TICK_S)
        for tick in range(ticks + round(_LAST_S / TICK_S)):
            if tick % each_second == 0:
                self._note()
                progress(1.0)
            begin = tick * TICK_S
            if tick < ticks:
                self._ask(begin)
            timeline.run(begin + TICK_S)
            self.jobs.run(begin + TICK_S)
        self._note()
        self.jobs.flush()
        self._close()
        return Ran(
            plan,
            self.record,
            self.gateways,
            self.store,
            self.traffic,
            self.policy,
            self._requests,
            self.members.second_calls,
        )

    def _ask(self, begin: float) -> None:
        """The requests of a tick: those the edge answers at once, the others at their times."""
        plan, rng, members = self.plan, self._rng, self.members
        count = int(rng.poisson(plan.agents * plan.rate * TICK_S))
        self._requests += count
        if not count:
            return
        agents = rng.integers(plan.agents, size=count)
        targets = self._asked[agents, rng.integers(2, size=count)]
        images = self.traffic.draw(rng, count, plan.drifted(begin))
        confidence = self._confidence[images]
        local = confidence >= self.jobs.table[members.version[agents], targets]
        np.add.at(members.seen, agents, 1.0)
        np.add.at(members.confidence, agents, confidence)
        audited = local & (rng.random(count) < members.share[agents])
        times = begin + TICK_S * rng.random(count)
        self._as_certified(begin, targets, images, confidence)
        each = zip(
            agents.tolist(),
            targets.tolist(),
            images.tolist(),
            times.tolist(),
            local.tolist(),
            audited.tolist(),
            strict=True,
        )
        for agent, target, image, time_s, mine, too in each:
            if mine:
                members.local(agent, target, image, time_s)
                if too:
                    self.timeline.at(time_s, members.audit, agent, target, image)
            else:
                self.timeline.at(time_s, members.escalate, agent, target, image)

    def _as_certified(
        self, begin: float, targets: Integers, images: Integers, confidence: Floats
    ) -> None:
        """How many would be right if thresholds never moved."""
        local = confidence >= self.jobs.table[0, targets]
        edge, dc = self.traffic.edge_error.reshape(-1), self.traffic.dc_error.reshape(-1)
        right = 1.0 - np.where(local, edge[images], dc[images])
        self.record.sums[EXPECTED, int(begin)] += np.bincount(
            targets, right, len(self.plan.targets)
        )

    def _note(self) -> None:
        record, store = self.record, self.store
        record.ledgers.append(store.ledger.copy())
        record.busy_s.append(store.busy_s)
        record.publications.append(store.publications)
        record.waiting.append(sum(len(one) for one in self.members.backlogs.values()))
        record.counted_by.append(store.answers)
        record.work.append(
            (
                sum(one.totals.calls for one in self.gateways),
                sum(one.totals.busy_s for one in self.gateways),
                sum(one.totals.front_s for one in self.gateways),
            )
        )

    def _close(self) -> None:
        """Where every answer's count is in the end."""
        record = self.record
        self.store.settle()
        found = self.store.everything
        record.counted = answers_of(found)
        for backlog in self.members.backlogs.values():
            record.kept += self.store.missing(backlog.all())
            record.dropped += self.store.missing(backlog.dropped)
