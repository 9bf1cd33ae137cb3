"""The gateway's HTTP port: the Open Inference Protocol over REST, and metrics.

Its bodies count among the bytes that gRPC's messages hold, its images and calls among theirs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from dc_gateway.config import GatewayConfig
from hawkvision.serving import descriptors
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.bodies import BodyLimits, BodyReader
from hawkvision.serving.http.calls import Callers
from hawkvision.serving.http.connections import Book, ConnectionLimits
from hawkvision.serving.http.door import DoorParts, HttpDoor
from hawkvision.serving.http.inference import InferenceRoutes
from hawkvision.serving.http.metrics import PortCollector
from hawkvision.serving.http.repository import RepositoryRoutes
from hawkvision.serving.http.routes import Entrance, Route, application
from hawkvision.serving.http.server import ServerRoutes

_LEAST_RATE = 1000.0
"""Bytes a second that a body must bring."""

_IDLE_S = 75.0
"""So long a connection may be silent between two requests."""


class RestPort:
    """Listens from `start` to `close`; use it within one event loop.

    Bytes and clients are those of the gRPC door `rpc`; `errors` counts refusals by code.
    """

    def __init__(
        self,
        config: GatewayConfig,
        service: InferenceService,
        rpc: Door,
        tls: ssl.SSLContext | None,
        metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._config = config
        self.errors: Counter[str] = Counter()
        self.bodies = BodyReader(body_limits(config), rpc.entrance.held_bytes)
        self.connections = Book(connection_limits(config, descriptors.limit()))
        self.entrance = Entrance(Guard(None), self._refused)
        callers = Callers(rpc.clients)
        routes = [
            *ServerRoutes(service, metrics, callers).table(),
            *InferenceRoutes(service, self.bodies, config.max_deadline_s, callers).table(),
            *RepositoryRoutes(service, self.bodies, callers).table(),
        ]
        self.routes = [_only_for(callers, route) for route in routes]
        self._door = HttpDoor(
            application(self.routes, self.entrance, "POST to /v2/models/{model}/infer."),
            self.entrance,
            self.connections,
            self._refused,
            DoorParts(tls, gives_up=True),
        )

    def collectors(self) -> list[Collector]:
        """What shows the port when metrics are scraped."""
        return [PortCollector(self.connections, self.bodies), _Errors(self.errors)]

    def _refused(self, code: str) -> None:
        self.errors[code] += 1

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, a free one for 0. Raises HawkVisionError if it cannot."""
        await self._door.open()
        return await self._door.start(host, port, "--http-port")

    async def drain(self, notice_s: float, grace_s: float) -> None:
        """Answer for a while yet, closing connections, then accept no more and finish what runs."""
        self.entrance.draining = True
        await asyncio.sleep(notice_s)
        await self._door.drain(grace_s)

    async def close(self) -> None:
        """Stop; who still waits for an answer is told that there will be none."""
        await self._door.refuse()
        await self._door.hang_up()


def _only_for(callers: Callers, route: Route) -> Route:
    """The same route, for nobody who may not call at all."""

    async def check(request: web.Request) -> web.StreamResponse:
        callers.peer(request)
        return await route.handler(request)

    return replace(route, handler=check)


class _Errors(Collector):
    """Refusals over REST."""

    def __init__(self, errors: Mapping[str, int]) -> None:
        self._errors = errors

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        family = CounterMetricFamily(
            "hawkvision_errors", "Requests over REST refused, by code.", labels=["code"]
        )
        for code, count in sorted(self._errors.items()):
            family.add_metric([code], count)
        yield family


def body_limits(config: GatewayConfig) -> BodyLimits:
    """A body may be as large as a message."""
    return BodyLimits(
        max_body=config.message_bytes,
        timeout_s=config.receive_timeout_s,
        least_rate=_LEAST_RATE,
        max_batch=config.images_per_request,
    )


def connection_limits(config: GatewayConfig, open_files: int) -> ConnectionLimits:
    """As many connections as gRPC may have, and descriptors for both."""
    return ConnectionLimits.fitting(
        max(1, open_files - config.max_connections),
        config.max_connections,
        None,
        head_s=config.receive_timeout_s,
        idle_s=_IDLE_S,
        write_s=config.receive_timeout_s,
    )
