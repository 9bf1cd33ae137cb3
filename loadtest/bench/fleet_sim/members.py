"""The agents: what each has counted, audits and waits with; and how its answers are counted."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.serving.claims import Priority
from hawkvision.tracking import counts
from hawkvision.tracking.control.audit import AuditPolicy, AuditSettings
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.counters import Counters
from loadtest.bench.fleet_sim.backlog import Backlog
from loadtest.bench.fleet_sim.gateway import SimulatedGateway
from loadtest.bench.fleet_sim.record import ANSWERED, DEGRADED, ESCALATED, RIGHT, Record
from loadtest.bench.fleet_sim.settings import Simulation
from loadtest.bench.fleet_sim.timeline import Timeline
from loadtest.bench.fleet_sim.traffic import Traffic
from loadtest.bench.fleet_sim.upstream import Question, Way

AUDITS_AT_ONCE = 4
"""Of one agent; `edge_agent.fleet.audits` has the same."""


class Members:
    """All agents of a fleet. Arrays are [agents]; `version` is the row of thresholds that each
    knows, `share` the share of local answers that it audits, `counted` whether it has counted
    anything since its last batch."""

    def __init__(
        self,
        plan: Simulation,
        policy: CascadePolicy,
        traffic: Traffic,
        gateways: Sequence[SimulatedGateway],
        timeline: Timeline,
        record: Record,
        name: str,
        chance: random.Random,
    ) -> None:
        self._plan = plan
        self._timeline = timeline
        self._record = record
        self._gateways = gateways
        self._chance = chance
        agents, share = plan.agents, plan.agent.audit_share
        settings = AuditSettings(base=share, boosted=min(0.5, 3 * share))
        scores = policy.scores.confidence
        level = float(scores.mean()), float(scores.std())
        self.counters = [Counters() for _ in range(agents)]
        self.policies = [AuditPolicy(*level, settings) for _ in range(agents)]
        self.backlogs: dict[int, Backlog] = {}
        self._ways: dict[int, Way] = {}
        self._audits = np.zeros(agents, np.int64)
        self.share = np.full(agents, share)
        self.seen = np.zeros(agents)
        self.confidence = np.zeros(agents)
        self.version = np.zeros(agents, np.int64)
        self.counted = np.zeros(agents, np.bool_)
        self._task = name
        self.keys = [
            CountKey(name, "", counts.counted_target(Accuracy(target))) for target in plan.targets
        ]
        images = traffic.confidence.shape[1] * 2
        self._edge_confidence: list[float] = traffic.confidence.reshape(images).tolist()
        self._dc_confidence: list[float] = traffic.dc_confidence.reshape(images).tolist()
        self._edge_right: list[float] = (1.0 - traffic.edge_error).reshape(images).tolist()
        self._dc_right: list[float] = (1.0 - traffic.dc_error).reshape(images).tolist()
        self._edge_believed: list[float] = traffic.edge_believed.reshape(images).tolist()
        self._dc_believed: list[float] = traffic.dc_believed.reshape(images).tolist()

    # Answers.

    def local(self, agent: int, target: int, image: int, time_s: float) -> None:
        """The edge is sure enough."""
        self._answered(agent, target, image, time_s, "edge", None)

    def _answered(
        self, agent: int, target: int, image: int, time_s: float, by: str, degraded: str | None
    ) -> None:
        edge = self._edge_confidence[image]
        local = by == "edge"
        counts.answered(
            self.counters[agent].add,
            self.keys[target],
            served_by=by,
            degraded=degraded,
            loss_level=0.0,
            edge_confidence=edge,
            answer_confidence=edge if local else self._dc_confidence[image],
        )
        self.counted[agent] = True
        record = self._record
        record.add(ANSWERED, time_s, target)
        record.add(RIGHT, time_s, target, (self._edge_right if local else self._dc_right)[image])
        if not local:
            record.add(ESCALATED, time_s, target)
        if degraded is not None:
            record.add(DEGRADED, time_s, target)
            record.refusals[degraded] = record.refusals.get(degraded, 0) + 1

    def escalate(self, agent: int, target: int, image: int) -> None:
        """The edge is not: ask the data center now; without an answer by its deadline the edge's
        counts."""
        began = self._timeline.now

        def ended(reason: str | None) -> None:
            now = self._timeline.now
            self._record.escalations.append((began, now - began))
            self._answered(agent, target, image, now, "dc" if reason is None else "edge", reason)
            if reason is None:
                self._compare(agent, image, 1.0)

        deadline = began + self._plan.agent.deadline_s - self._plan.agent.edge_s
        self._way(agent).ask(Question(deadline, Priority.USER, ended))

    def audit(self, agent: int, target: int, image: int) -> None:
        """A local answer is for the data center too, unless enough are under way."""
        if self._audits[agent] >= AUDITS_AT_ONCE:
            return
        self._audits[agent] += 1
        weight = 1.0 / float(self.share[agent])

        def ended(reason: str | None) -> None:
            self._audits[agent] -= 1
            if reason is not None:
                self._record.not_audited += 1
                return
            self._record.audits += 1
            error = self._compare(agent, image, weight)
            add = self.counters[agent].add
            counts.audited(add, self.keys[target], edge_error=error, weight=weight)

        deadline = self._timeline.now + self._plan.agent.aside_s
        self._way(agent).ask(Question(deadline, Priority.AUDIT, ended))

    def _compare(self, agent: int, image: int, weight: float) -> float:
        error = self._edge_believed[image]
        counts.compared(
            self.counters[agent].add,
            self._task,
            edge_confidence=self._edge_confidence[image],
            edge_error=error,
            dc_error=self._dc_believed[image],
            weight=weight,
        )
        self.counted[agent] = True
        return error

    def _way(self, agent: int) -> Way:
        found = self._ways.get(agent)
        if found is None:
            several, known = len(self._gateways), min(self._plan.known, len(self._gateways))
            mine = [self._gateways[(agent + place) % several] for place in range(known)]
            found = self._ways[agent] = Way(
                f"agent-{agent}", self._timeline, mine, self._plan.agent, self._chance
            )
        return found

    @property
    def second_calls(self) -> int:
        """Calls that were made a second time, elsewhere."""
        return sum(way.seconds for way in self._ways.values())

    # Audits' shares.

    def look(self, agents: Sequence[int]) -> None:
        """As `Audits.look`: take in what was answered since; shares may change."""
        for agent in agents:
            policy = self.policies[agent]
            policy.see(float(self.seen[agent]), float(self.confidence[agent]))
            self.share[agent] = policy.share
            self.seen[agent] = self.confidence[agent] = 0.0
