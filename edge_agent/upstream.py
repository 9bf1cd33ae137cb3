"""The way up: one image to the data center over the Open Inference Protocol, with a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import grpc
import grpc.aio

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.codec import pack_bytes
from hawkvision.oip.inference import parse_reply
from hawkvision.repository import Task
from hawkvision.serving.breaker import BreakerState, CircuitBreaker

Degraded = Literal["dc_unreachable", "deadline", "overload"]

_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
_MINIMUM_S = 0.005


@dataclass(frozen=True, slots=True)
class Answered:
    """The data center's prediction, and whether its engine is the certified one."""

    prediction: Any
    agrees: bool


@dataclass(frozen=True, slots=True)
class NotEscalated:
    """Why the data center gave no answer."""

    reason: Degraded


class EscalationClient:
    """Asks a gateway; never raises for the gateway's or the link's faults."""

    def __init__(self, gateway: str, max_in_flight: int) -> None:
        self._channel = grpc.aio.insecure_channel(gateway, options=_CHANNEL_OPTIONS)
        self._stub = services.GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._breaker = CircuitBreaker()
        self._in_flight = 0
        self._max_in_flight = max_in_flight

    @property
    def breaker_state(self) -> BreakerState:
        """For metrics and status."""
        return self._breaker.state

    async def escalate(
        self, task: Task, image: bytes, *, timeout_s: float, request_id: str, trace: str | None
    ) -> Answered | NotEscalated:
        """The large rung's answer for one encoded image, or why there is none in `timeout_s`."""
        if timeout_s < _MINIMUM_S:
            return NotEscalated("deadline")
        if self._in_flight >= self._max_in_flight:
            return NotEscalated("overload")
        if not self._breaker.allow(time.monotonic()):
            return NotEscalated("dc_unreachable")
        request = messages.ModelInferRequest(
            model_name=task.name, model_version=task.version, id=request_id
        )
        request.inputs.add(name="image", datatype="BYTES", shape=[1])
        request.raw_input_contents.append(pack_bytes([image]))
        metadata = (("traceparent", trace),) if trace else None
        self._in_flight += 1
        answered = False
        try:
            reply = await self._stub.ModelInfer(request, timeout=timeout_s, metadata=metadata)
            answered = True
            self._breaker.succeeded()
            return _parse(reply, task)
        except grpc.aio.AioRpcError as error:
            answered = True
            return self._failed(error.code())
        finally:
            self._in_flight -= 1
            if not answered:
                self._breaker.abandoned()

    def _failed(self, code: grpc.StatusCode) -> NotEscalated:
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self._breaker.succeeded()
            return NotEscalated("overload")
        self._breaker.failed(time.monotonic())
        timed_out = code is grpc.StatusCode.DEADLINE_EXCEEDED
        return NotEscalated("deadline" if timed_out else "dc_unreachable")

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()


def _parse(reply: messages.ModelInferResponse, task: Task) -> Answered | NotEscalated:
    """The first image's prediction."""
    try:
        parsed = parse_reply(reply)
        return Answered(task.kind.decode(parsed.outputs)[0], parsed.agrees)
    except (ValueError, IndexError):
        return NotEscalated("dc_unreachable")
