"""The way up: one image to the data center over the Open Inference Protocol, with a deadline."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import grpc
import grpc.aio

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.inference import build_request, parse_reply
from hawkvision.oip.rungs import ask_from, read_rungs
from hawkvision.repository import Task
from hawkvision.serving.breaker import BreakerState, UpstreamBreaker
from hawkvision.serving.claims import Priority

_log = logging.getLogger(__name__)
Reason = Literal["dc_unreachable", "deadline", "overload", "version_mismatch", "rejected"]

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Of several addresses behind one name all are used, and no proxy is but one that is named here.
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
)
_MINIMUM_S = 0.005
_MOST_STRANGE = 64

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One question: the task, an encoded image, when the answer is due (`time.monotonic`).

    `trace` is a well-formed traceparent; `from_rung` the place of the first rung that is asked.
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
    """A gateway at HOST:PORT. One breaker for each task and version that is asked for."""

    def __init__(self, gateway: str, max_in_flight: int) -> None:
        self._gateway = gateway
        self._channel = grpc.aio.insecure_channel(gateway, options=_CHANNEL_OPTIONS)
        self._stub = services.GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._breakers: dict[tuple[str, str], UpstreamBreaker] = {}
        self._mismatched: set[tuple[str, str]] = set()
        self._strange: set[tuple[str, str]] = set()
        self._in_flight = 0
        self._background = 0
        self._max_in_flight = max_in_flight

    @property
    def held_back(self) -> bool:
        """See `Upstream.held_back`."""
        return any(one.state is not BreakerState.CLOSED for one in self._breakers.values())

    async def ask(self, call: Call) -> Answered | Refused:
        """See `Upstream.ask`."""
        start = time.monotonic()
        allowed_s = call.deadline - start
        if allowed_s < _MINIMUM_S:
            return Refused("deadline")
        if not self._has_room(call):
            return Refused("overload")
        model = (call.task.name, call.task.version)
        breaker = self._breakers.get(model)
        if breaker is None:
            breaker = self._breakers[model] = UpstreamBreaker()
        if not breaker.allow(start):
            return Refused("dc_unreachable")
        priority = call.priority if call.background else 0
        request = build_request(*model, call.request_id, call.image, priority)
        ask_from(request, call.from_rung)
        metadata = None if call.trace is None else (("traceparent", call.trace),)
        before = breaker.state
        self._in_flight += 1
        self._background += call.background
        judged = False
        try:
            reply = await self._stub.ModelInfer(request, timeout=allowed_s, metadata=metadata)
            judged = True
            return self._answered(call, breaker, reply, time.monotonic() - start)
        except grpc.aio.AioRpcError as error:
            judged = True
            return self._failed(call, breaker, error, allowed_s)
        finally:
            self._in_flight -= 1
            self._background -= call.background
            if not judged:
                breaker.no_verdict()
            if breaker.state is BreakerState.CLOSED and before is not BreakerState.CLOSED:
                _log.warning("gateway %s answers again for task %s", self._gateway, model[0])

    def _has_room(self, call: Call) -> bool:
        if self._in_flight >= self._max_in_flight:
            return False
        return not call.background or self._background < max(1, self._max_in_flight // 4)

    def _answered(
        self,
        call: Call,
        breaker: UpstreamBreaker,
        reply: messages.ModelInferResponse,
        took_s: float,
    ) -> Answered | Refused:
        try:
            parsed = parse_reply(reply)
            prediction = call.task.kind.decode(parsed.outputs)[0]
            said = read_rungs(reply, call.from_rung, len(call.task.rungs) - 1)
        except (ValueError, IndexError) as error:
            self._count_failure(call, breaker, f"its answer cannot be read: {error}")
            return Refused("dc_unreachable")
        breaker.succeeded(took_s)
        model = (call.task.name, call.task.version)
        if model in self._mismatched:
            self._mismatched.discard(model)
            _log.warning("gateway %s has task %s version %s now", self._gateway, *model)
        expected = parsed.flavour == call.task.dc_flavour
        if not expected:
            self._say_flavour(call.task, parsed.flavour)
        return Answered(prediction, parsed.agrees and expected, said.rung, said.began)

    def _failed(
        self,
        call: Call,
        breaker: UpstreamBreaker,
        error: grpc.aio.AioRpcError,
        allowed_s: float,
    ) -> Refused:
        code, details = error.code(), (error.details() or "")[:200]
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            was = breaker.state
            breaker.timed_out(allowed_s, time.monotonic())
            self._say_if_opened(call, breaker, was, f"no answer within {allowed_s:.2g} s")
            return Refused("deadline")
        if code is grpc.StatusCode.NOT_FOUND:
            breaker.no_verdict()
            self._say_mismatch(call, details)
            return Refused("version_mismatch")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            breaker.no_verdict()
            # gRPC's own limit on a message's size has the same code as a full queue.
            return Refused("rejected" if "larger than max" in details else "overload")
        if code in _CALLERS_FAULT:
            breaker.no_verdict()
            return Refused("rejected")
        self._count_failure(call, breaker, f"{code.name}: {details}")
        return Refused("dc_unreachable")

    def _count_failure(self, call: Call, breaker: UpstreamBreaker, reason: str) -> None:
        was = breaker.state
        breaker.failed(time.monotonic())
        self._say_if_opened(call, breaker, was, reason)

    def _say_if_opened(
        self, call: Call, breaker: UpstreamBreaker, was: BreakerState, reason: str
    ) -> None:
        """Once when an upstream goes, not at every probe that fails."""
        if was is BreakerState.CLOSED and breaker.state is BreakerState.OPEN:
            _log.warning(
                "gateway %s fails for task %s, the edge answers alone: %s",
                self._gateway,
                call.task.name,
                reason,
            )

    def _say_mismatch(self, call: Call, details: str) -> None:
        model = (call.task.name, call.task.version)
        if model not in self._mismatched:
            self._mismatched.add(model)
            _log.warning(
                "gateway %s does not have task %s version %s: %s", self._gateway, *model, details
            )

    def _say_flavour(self, task: Task, flavour: str) -> None:
        """Once for each task and flavour: what runs there is not what the thresholds rest on."""
        if (task.name, flavour) in self._strange:
            return
        if len(self._strange) < _MOST_STRANGE:
            self._strange.add((task.name, flavour))
            _log.warning(
                "gateway %s answers task %s with its %r files, the thresholds here are for %r; no "
                "escalated answer is certified. Start the edge with --dc-flavour",
                self._gateway,
                task.name,
                flavour or "plain",
                task.dc_flavour or "plain",
            )

    async def close(self) -> None:
        """See `Upstream.close`."""
        await self._channel.close()
