"""An agent's way up: the product's balancer, one question at a time, a second call where it pays.

It follows `edge_agent.upstream` and `serving.upstreams.client`, whose waiting is asyncio's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hawkvision.errors import HawkVisionError, Overloaded
from hawkvision.serving.claims import Claim, Priority
from hawkvision.serving.upstreams.balancer import Balancer, Fault, Lease, Unavailable
from loadtest.bench.fleet_sim.gateway import SimulatedGateway
from loadtest.bench.fleet_sim.settings import AgentSettings
from loadtest.bench.fleet_sim.timeline import Timeline

_MODEL = ("task", "1")
_MINIMUM_S = 0.005

Ended = Callable[[str | None], None]
"""Told once: None for an answer, else why there is none, as answers say it."""


@dataclass(slots=True)
class Question:
    """One image for the data center; `deadline` of the timeline."""

    deadline: float
    priority: Priority
    ended: Ended
    calls: list[Call] = field(default_factory=list)
    second: bool = False
    done: bool = False

    @property
    def background(self) -> bool:
        """Whether no user waits for it."""
        return self.priority is not Priority.USER


@dataclass(slots=True)
class Call:
    """One call of a question at one gateway; implements `gateway.Caller`."""

    way: Way
    question: Question
    lease: Lease
    claim: Claim
    cancelled: bool = False

    def ready(self, error: HawkVisionError | None) -> None:
        """See `Caller`: from there it takes half of the link's time."""
        self.way.come_back(self, error)


class Way:
    """One agent's. `gateways` are those that it knows, between which nothing is preferred."""

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        gateways: Sequence[SimulatedGateway],
        settings: AgentSettings,
        chance: random.Random,
    ) -> None:
        self._name = name
        self._timeline = timeline
        self._settings = settings
        addresses = tuple(f"gateway-{number}:8001" for number in range(len(gateways)))
        self._gateways = dict(zip(addresses, gateways, strict=True))
        self.balancer = Balancer((addresses,), chance=chance)
        self._in_flight = 0
        self._background = 0
        self.seconds = 0

    def ask(self, question: Question) -> None:
        """Begin; `question.ended` may be told at once."""
        now = self._timeline.now
        if question.deadline - now < _MINIMUM_S:
            question.ended("deadline")
            return
        most = self._settings.max_escalations
        if self._in_flight >= most or (
            question.background and self._background >= max(1, most // 4)
        ):
            question.ended("overload")
            return
        self._in_flight += 1
        self._background += question.background
        lease = self.balancer.begin(_MODEL, now, question.deadline - now)
        if isinstance(lease, Unavailable):
            late = lease is Unavailable.TOO_SLOW
            self._end(question, "deadline" if late else "dc_unreachable")
            return
        self._timeline.at(question.deadline, self._due, question)
        if len(self._gateways) > 1 and not question.background:
            self._timeline.at(now + lease.patience_s, self._impatient, question, lease.address)
        self._send(question, lease)

    def _send(self, question: Question, lease: Lease) -> None:
        now = self._timeline.now
        allowed = question.deadline - now
        claim = Claim(self._name, 1.0, question.priority, allowed)
        call = Call(self, question, lease, claim)
        question.calls.append(call)
        there = self._gateways[lease.address]
        self._timeline.at(now + self._settings.link_s / 2, there.arrive, call, allowed)

    def come_back(self, call: Call, error: HawkVisionError | None) -> None:
        """An answer or refusal is on its way here."""
        later = self._timeline.now + self._settings.link_s / 2
        self._timeline.at(later, self._came, call, error)

    def _came(self, call: Call, error: HawkVisionError | None) -> None:
        question, now = call.question, self._timeline.now
        if question.done:
            return
        question.calls.remove(call)
        if error is None:
            self.balancer.answered(call.lease, now)
            self._end(question, None)
            return
        full = isinstance(error, Overloaded)
        if isinstance(error, Overloaded):
            self.balancer.full(call.lease, error.retry_after_s, now)
        else:
            self.balancer.spoke(call.lease, now)
        if not question.background:
            self._again(question, call.lease.address)
        if not question.calls:
            self._end(question, "overload" if full else "deadline")

    def _impatient(self, question: Question, first: str) -> None:
        if not question.done:
            self._again(question, first)

    def _again(self, question: Question, first: str) -> None:
        if question.second or len(self._gateways) == 1:
            return
        now = self._timeline.now
        lease = self.balancer.again(_MODEL, now, question.deadline - now, (first,))
        if isinstance(lease, Unavailable):
            return
        question.second = True
        self.seconds += 1
        self._send(question, lease)

    def _due(self, question: Question) -> None:
        """Nothing came in time."""
        if question.done:
            return
        now = self._timeline.now
        for call in question.calls:
            self.balancer.failed(call.lease, Fault.LATE, "no answer in time", now)
            call.cancelled = True
        question.calls.clear()
        self._end(question, "deadline")

    def _end(self, question: Question, reason: str | None) -> None:
        question.done = True
        for call in question.calls:
            self.balancer.left(call.lease, self._timeline.now)
            call.cancelled = True
        question.calls.clear()
        self._in_flight -= 1
        self._background -= question.background
        self.balancer.events()
        question.ended(reason)
