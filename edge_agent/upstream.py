"""The way up: one image to the data center over the Open Inference Protocol, with a deadline.

Which of several gateways is asked, and whether a second one, is `hawkvision.serving.upstreams`'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hawkvision.contract.gateways import GatewayStatus
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.inference import build_request, parse_reply
from hawkvision.oip.rungs import ask_from, read_rungs
from hawkvision.repository import Task
from hawkvision.serving.claims import Priority
from hawkvision.serving.request_id import METADATA
from hawkvision.serving.upstreams.balancer import BalancerSettings, Change, Event
from hawkvision.serving.upstreams.client import NoAnswer, Question, UpstreamClient, Why
from hawkvision.serving.upstreams.dialer import Dialer
from hawkvision.serving.upstreams.groups import parse_groups

_log = logging.getLogger(__name__)
Reason = Literal["dc_unreachable", "deadline", "overload", "version_mismatch", "rejected"]

_REASONS: dict[Why, Reason] = {
    Why.UNREACHABLE: "dc_unreachable",
    Why.LATE: "deadline",
    Why.FULL: "overload",
    Why.LACKS: "version_mismatch",
    Why.REFUSED: "rejected",
}
_MINIMUM_S = 0.005
_MOST_STRANGE = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One question: the task, an encoded image, when the answer is due (`time.monotonic`).

    `request_id` is the user's request's public one, or what a call without a user is for; `trace`
    is a well-formed traceparent; `from_rung` the place of the first rung that is asked.
    Calls that no user waits for (audits, probes) say so to the gateway, and take no more than a
    quarter of the calls in flight.
    """

    task: Task
    image: bytes
    deadline: float
    request_id: str
    trace: str | None = None
    priority: Priority = Priority.USER
    from_rung: int = 1

    @property
    def background(self) -> bool:
        """Whether no user waits for it."""
        return self.priority is not Priority.USER


def _metadata(call: Call) -> tuple[tuple[str, str], ...]:
    """So that a gateway's log, and its spans, name a user's request as ours do."""
    named = () if call.background else ((METADATA, call.request_id),)
    return named if call.trace is None else (*named, ("traceparent", call.trace))


@dataclass(frozen=True, slots=True)
class Answered:
    """The data center's prediction, and whether it is what the task's thresholds rest on.

    `rung` is the place of the rung that gave it, `began` of the first one that there was there;
    0 for the last one, and for the one that was asked.
    """

    prediction: Any
    agrees: bool
    rung: int = 0
    began: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the data center gave no answer."""

    reason: Reason


class Upstream(Protocol):
    """Whoever answers what the edge is not sure of."""

    async def ask(self, call: Call) -> Answered | Refused:
        """An answer by the call's deadline; never raises for the other side's faults."""
        ...

    @property
    def held_back(self) -> bool:
        """Whether some task's calls are held back because the upstream fails."""
        ...

    async def close(self) -> None:
        """Give connections back; calls in flight are cancelled."""
        ...


class GrpcUpstream:
    """Gateways, in order of preference, equals with commas between them (`--gateway`).

    Raises InvalidRequest for an address that is none.
    """

    def __init__(
        self,
        gateways: Sequence[str],
        max_in_flight: int,
        settings: BalancerSettings | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        self._dialer = dialer or Dialer()
        self.client = UpstreamClient(parse_groups(gateways), self._say, settings, self._dialer)
        self._alone = len(self.client.balancer.endpoints) == 1
        self._strange: set[tuple[str, str, str]] = set()
        self._in_flight = 0
        self._background = 0
        self._max_in_flight = max_in_flight

    @property
    def held_back(self) -> bool:
        """See `Upstream.held_back`."""
        return self.client.balancer.held_back

    def gateways(self) -> list[GatewayStatus]:
        """How each is seen, in the order in which they were named."""
        return [
            GatewayStatus(one.address, one.group, one.word, one.reason, one.in_flight)
            for one in self.client.balancer.endpoints
        ]

    async def ask(self, call: Call) -> Answered | Refused:
        """See `Upstream.ask`."""
        if call.deadline - time.monotonic() < _MINIMUM_S:
            return Refused("deadline")
        if not self._has_room(call):
            return Refused("overload")
        model = (call.task.name, call.task.version)
        priority = call.priority if call.background else 0
        request = build_request(*model, call.request_id, call.image, priority)
        ask_from(request, call.from_rung)
        question = Question(
            model,
            request,
            call.deadline,
            lambda gateway, reply: self._read(gateway, call, reply),
            _metadata(call),
            twice=not call.background,
        )
        self._in_flight += 1
        self._background += call.background
        try:
            found = await self.client.ask(question)
        finally:
            self._in_flight -= 1
            self._background -= call.background
        return Refused(_REASONS[found.why]) if isinstance(found, NoAnswer) else found

    def _has_room(self, call: Call) -> bool:
        if self._in_flight >= self._max_in_flight:
            return False
        return not call.background or self._background < max(1, self._max_in_flight // 4)

    def _read(self, gateway: str, call: Call, reply: messages.ModelInferResponse) -> Answered:
        """Raises ValueError or IndexError for what is no answer of the task's kind."""
        task = call.task
        parsed = parse_reply(reply)
        prediction = task.kind.decode(parsed.outputs)[0]
        said = read_rungs(reply, call.from_rung, len(task.rungs) - 1)
        expected = parsed.flavour == task.dc_flavour
        if not expected:
            self._say_flavour(gateway, task, parsed.flavour)
        return Answered(prediction, parsed.agrees and expected, said.rung, said.began)

    def _say(self, event: Event) -> None:
        """Once when a gateway goes or comes, not at every probe that fails."""
        what, name = event.what, event.address
        task = None if event.model is None else event.model[0]
        of_task = "" if task is None else f" for task {task}"
        if what is Change.GONE:
            nobody = self._alone or self.held_back
            then = "the edge answers alone" if nobody else "the others are asked"
            _log.warning("gateway %s fails%s, %s: %s", name, of_task, then, event.reason)
            if task is None:
                self._dialer.explain(name, lambda why: self._say_why(name, why))
        elif what is Change.BACK:
            _log.warning("gateway %s answers again%s", name, of_task)
        elif event.model is not None and what is Change.LACKS:
            _log.warning(
                "gateway %s does not have task %s version %s: %s",
                name,
                *event.model,
                event.reason,
            )
        elif event.model is not None:
            _log.warning("gateway %s has task %s version %s now", name, *event.model)

    def _say_why(self, name: str, why: str) -> None:
        """What gRPC did not say of a gateway that is gone."""
        for one in self.client.balancer.endpoints:
            if one.address == name and not one.healthy:
                one.reason = why
                _log.warning("gateway %s: %s", name, why)

    def _say_flavour(self, gateway: str, task: Task, flavour: str) -> None:
        """Once for each: what runs there is not what the thresholds here rest on."""
        if (gateway, task.name, flavour) in self._strange:
            return
        if len(self._strange) < _MOST_STRANGE:
            self._strange.add((gateway, task.name, flavour))
            _log.warning(
                "gateway %s answers task %s with its %r files, the thresholds here are for %r; no "
                "escalated answer is certified. Start the edge with --dc-flavour",
                gateway,
                task.name,
                flavour or "plain",
                task.dc_flavour or "plain",
            )

    async def close(self) -> None:
        """See `Upstream.close`."""
        self._dialer.close()
        await self.client.close()
