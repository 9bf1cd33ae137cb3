"""Whole calls go on to other servers of the Open Inference Protocol, as they are.

Which server, and what its end says of it, the balancer decides. Calls are idempotent: where one
fails, or is silent for long, another server is asked within the deadline, if the budget allows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from dc_gateway.upstreams.relayed import Refusal, note, refusal_of
from dc_gateway.upstreams.watch import Watch
from hawkvision.errors import DeadlineExceeded, HawkVisionError, InvalidRequest, UpstreamUnavailable
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.quota import Quota
from hawkvision.serving.request_id import METADATA, current
from hawkvision.serving.upstreams.balancer import Balancer, BalancerSettings, Lease, Unavailable
from hawkvision.serving.upstreams.dialer import Dialer, retire
from hawkvision.serving.upstreams.ejection import EjectionSettings
from hawkvision.serving.upstreams.endpoint import Model
from hawkvision.serving.upstreams.groups import Groups

_log = logging.getLogger(__name__)
Metadata = tuple[tuple[str, str], ...] | None
Reply = TypeVar("Reply", bound=Message)

HOPS = "hawkvision_hops"
"""Request parameter: how often a call was handed on, so that none goes round for ever."""
MOST_HOPS = 3

_REPLY_BYTES = 64 * 1024 * 1024
_LEAST_S = 0.005
_NAME = 200
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", _REPLY_BYTES),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(slots=True)
class _Server:
    """One upstream: its connection, and who looks after it."""

    channel: grpc.aio.Channel
    stub: Any
    watch: Watch


class Forward:
    """Servers in `groups` of preference. Use it within one event loop, from `start` to `close`.

    `calls` bounds what is under way, and what one client has of it. `answered` counts calls by
    address and status.
    """

    def __init__(self, groups: Groups, calls: Quota, dialer: Dialer | None = None) -> None:
        self.balancer = Balancer(groups, BalancerSettings(EjectionSettings(keep_one=True)))
        self.answered: Counter[tuple[str, str]] = Counter()
        self._calls = calls
        self._dialer = dialer or Dialer()
        self._dialer.when_renewed(self._renew)
        self._leaving: set[asyncio.Task[None]] = set()
        self._servers = {
            one.address: self._connected(one.address) for one in self.balancer.endpoints
        }

    def _connected(self, address: str) -> _Server:
        channel = self._dialer.open(address, _OPTIONS)
        stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        watch = Watch(self.balancer, address, channel, stub, self._say, self._explain)
        return _Server(channel, stub, watch)

    def _renew(self) -> None:
        """Connect anew; what runs over the old connections ends there."""
        for address, old in list(self._servers.items()):
            new = self._servers[address] = self._connected(address)
            if old.watch.began:
                new.watch.start()
            leaving = asyncio.create_task(_leave(old))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    @property
    def ready(self) -> bool:
        """Whether some server is there, as far as is known."""
        return any(self.up().values())

    def up(self) -> dict[str, bool]:
        """Whether each is there and takes calls, as far as is known, by address."""
        return {
            one.address: one.healthy and not one.silent and not one.draining
            for one in self.balancer.endpoints
        }

    @property
    def addresses(self) -> list[str]:
        """Of all servers, the preferred first."""
        return list(self._servers)

    def start(self) -> None:
        """Begin to look after the servers."""
        for server in self._servers.values():
            server.watch.start()

    async def infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """What a server answers. Raises what it refuses with, and UpstreamUnavailable."""
        hops = request.parameters[HOPS].int64_param if HOPS in request.parameters else 0
        if not 0 <= hops < MOST_HOPS:
            raise InvalidRequest(
                f"this call was handed on {hops} times",
                hint="Do gateways name each other as --upstream in a circle?",
            )
        request.parameters[HOPS].int64_param = hops + 1
        model = (request.model_name[:_NAME], request.model_version[:_NAME])
        reply: messages.ModelInferResponse = await self._call("ModelInfer", model, request, call)
        return reply

    async def metadata(
        self, request: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """As `infer`."""
        found: messages.ModelMetadataResponse = await self._named("ModelMetadata", request, call)
        return found

    async def model_ready(
        self, request: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """As `infer`."""
        found: messages.ModelReadyResponse = await self._named("ModelReady", request, call)
        return found

    async def config(
        self, request: messages.ModelConfigRequest, call: Call
    ) -> messages.ModelConfigResponse:
        """As `infer`."""
        found: messages.ModelConfigResponse = await self._named("ModelConfig", request, call)
        return found

    async def statistics(
        self, request: messages.ModelStatisticsRequest, call: Call
    ) -> messages.ModelStatisticsResponse:
        """As `infer`; of the server that is asked, and of no other."""
        found: messages.ModelStatisticsResponse = await self._named(
            "ModelStatistics", request, call
        )
        return found

    async def _named(self, method: str, request: Any, call: Call) -> Any:
        """A call that names a model and takes no images."""
        return await self._call(
            method, (request.name[:_NAME], request.version[:_NAME]), request, call
        )

    async def _call(self, method: str, model: Model, request: Message, call: Call) -> Any:
        with self._calls.take(call.peer, 1):
            now = time.monotonic()
            lease = self.balancer.begin(model, now, call.deadline - now)
            if isinstance(lease, Unavailable):
                raise _nobody(lease)
            named = current()
            metadata = None if named is None else ((METADATA, named.text),)
            ask = partial(self._begin, method, request, call.deadline, metadata)
            under_way = [ask(lease)]
            try:
                await asyncio.wait(under_way, timeout=lease.patience_s)
                if not under_way[0].done() or _may_again(under_way[0].result()):
                    now = time.monotonic()
                    second = self.balancer.again(model, now, call.deadline - now, {lease.address})
                    if isinstance(second, Lease):
                        under_way.append(ask(second))
                return await _first_answer(under_way)
            finally:
                for one in under_way:
                    one.cancel()
                self._say()

    def _begin(
        self, method: str, request: Message, deadline: float, metadata: Metadata, lease: Lease
    ) -> asyncio.Task[Message | Refusal]:
        task = asyncio.create_task(self._once(method, request, deadline, metadata, lease))

        def ended(_task: object) -> None:
            if not lease.ended:  # cancelled: nobody waits for it
                self.balancer.left(lease, time.monotonic())

        task.add_done_callback(ended)
        return task

    async def _once(
        self, method: str, request: Message, deadline: float, metadata: Metadata, lease: Lease
    ) -> Message | Refusal:
        ask = getattr(self._servers[lease.address].stub, method)
        allowed_s = max(_LEAST_S, deadline - time.monotonic())
        try:
            reply: Message = await ask(request, timeout=allowed_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            note(self.balancer, lease, error, time.monotonic())
            self.answered[lease.address, error.code().name] += 1
            return refusal_of(error)
        self.balancer.answered(lease, time.monotonic())
        self.answered[lease.address, "OK"] += 1
        return reply

    def _say(self) -> None:
        for event in self.balancer.events():
            model = "" if event.model is None else f", model {event.model[0]!r}"
            _log.warning(
                "upstream %s%s: %s %s", event.address, model, event.what.value, event.reason
            )

    def _explain(self, address: str) -> None:
        def say(why: str) -> None:
            _log.warning("upstream %s: %s", address, why)

        self._dialer.explain(address, say)

    async def close(self) -> None:
        """Hang up; calls under way are cancelled."""
        self._dialer.close()
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        for server in self._servers.values():
            await server.watch.close()
            await server.channel.close()


async def _leave(server: _Server) -> None:
    await server.watch.close()
    await retire(server.channel)


def _nobody(why: Unavailable) -> HawkVisionError:
    if why is Unavailable.TOO_SLOW:
        return DeadlineExceeded("no upstream has answered so soon lately", hint="Allow more time.")
    return UpstreamUnavailable(
        "no upstream is there to answer", hint="The gateway's log says what became of them."
    )


def _may_again(outcome: Message | Refusal) -> bool:
    return isinstance(outcome, Refusal) and not (
        outcome.final and outcome.error.code != "unknown_task"
    )


async def _first_answer(tasks: list[asyncio.Task[Message | Refusal]]) -> Message:
    """The first reply, or the refusal that says most. Raises HawkVisionError."""
    refusals: list[Refusal] = []
    pending: set[asyncio.Task[Message | Refusal]] = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            outcome = one.result()
            if not isinstance(outcome, Refusal):
                return outcome
            refusals.append(outcome)
    refusals.sort(key=lambda refusal: not refusal.final)
    raise refusals[0].error
