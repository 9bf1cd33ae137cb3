"""One upstream over gRPC: a channel, and what `grpc.health.v1` says at its other end.

`Watch` tells when an upstream is about to stop, or is gone, before a call finds out; `Check` finds
out whether one that fails or hangs is there again. What offers neither is judged by its calls.
https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.serving.upstreams.balancer import Balancer
from hawkvision.serving.upstreams.dialer import Dialer, retire
from hawkvision.serving.upstreams.endpoint import Endpoint

_CHECK_EVERY_S = 0.5
_CHECK_S = 1.0
_WATCH_AGAIN_S = 1.0
GONE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
"""Not there, or not there for us."""

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    # Four times what a gateway allows (`--min-ping-interval-s`): its strikes close connections.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Of several addresses behind one name all are used, and no proxy is but one that is named here.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
)


class Connection:
    """A channel to one endpoint; `changed` is called when something new is known of it."""

    def __init__(
        self,
        endpoint: Endpoint,
        balancer: Balancer,
        changed: Callable[[], None],
        dialer: Dialer,
    ) -> None:
        self.endpoint = endpoint
        self._balancer = balancer
        self._changed = changed
        self._dialer = dialer
        self._trouble = asyncio.Event()
        self._work: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._open()

    def _open(self) -> None:
        self._channel = self._dialer.open(self.endpoint.address, _OPTIONS)
        stub = GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.infer: Any = stub.ModelInfer
        self._health: Any = HealthStub(self._channel)  # type: ignore[no-untyped-call]

    def renew(self) -> None:
        """Open a new channel; what runs over the old one ends there."""
        begun, old = bool(self._work), self._channel
        for task in self._work:
            task.cancel()
        self._work = []
        self._open()
        retiring = asyncio.create_task(retire(old))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        if begun:
            self.start()

    def start(self) -> None:
        """Ask how it is from now on; does nothing the second time."""
        if not self._work:
            self._work = [
                asyncio.create_task(self._follow()),
                asyncio.create_task(self._check_while_in_trouble()),
            ]

    def judged(self) -> None:
        """A call ended; what it said of the endpoint is known."""
        if self.endpoint.suspect or not self.endpoint.healthy:
            self._trouble.set()

    async def _follow(self) -> None:
        """Hear of every change, and be told at once when the connection breaks."""
        while True:
            try:
                async for reply in self._health.Watch(HealthCheckRequest()):
                    self._heard(reply)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    self._balancer.doubt(self.endpoint.address)
                    self._trouble.set()
            await asyncio.sleep(_WATCH_AGAIN_S)

    async def _check_while_in_trouble(self) -> None:
        while True:
            await self._trouble.wait()
            while self.endpoint.suspect or not self.endpoint.healthy:
                await self._check()
                if self.endpoint.suspect or not self.endpoint.healthy:
                    await asyncio.sleep(_CHECK_EVERY_S)
            self._trouble.clear()

    async def _check(self) -> None:
        address = self.endpoint.address
        try:
            self._heard(await self._health.Check(HealthCheckRequest(), timeout=_CHECK_S))
        except grpc.aio.AioRpcError as error:
            now = time.monotonic()
            if error.code() in GONE:
                details = (error.details() or "")[:200]
                self._balancer.silent(address, f"health check: {error.code().name}: {details}", now)
            else:  # it does not say how it is, but it is there
                self._balancer.watched(address, offered=False)
                self._balancer.heard(address, now)
            self._changed()

    def _heard(self, reply: HealthCheckResponse) -> None:
        address = self.endpoint.address
        draining = reply.status != HealthCheckResponse.SERVING
        self._balancer.watched(address, offered=True)
        self._balancer.heard(address, time.monotonic(), draining=draining)
        self._changed()

    async def close(self) -> None:
        """Calls in flight are cancelled."""
        ending = [*self._work, *self._retiring]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._channel.close()
