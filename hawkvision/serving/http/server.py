"""`/v2/health…`, `/v2` and `/metrics`: whether a service serves, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hawkvision.json_schema import Like
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.plain import plain
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.browsers import NO_PAGE
from hawkvision.serving.http.calls import ANYBODY, Callers
from hawkvision.serving.http.replies import SAFE, json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import TEXT, Shape, says
from hawkvision.serving.shared import Shared

_SCRAPE_GAP_S = 0.1
"""Between the beginnings of two scrapes; who asks meanwhile shares the next one."""

_OVER_REST = ("binary_tensor_data",)
"""Extensions that gRPC has no need of."""


_SERVER = Like("Server", ({"name": "", "version": "", "extensions": [*_OVER_REST]},))


class ServerRoutes:
    """For probes, scrapers, and clients of the Open Inference Protocol.

    `front` has it answer at `/` too, as `GET /v2`.
    """

    def __init__(
        self,
        service: InferenceService,
        metrics: Callable[[], Awaitable[bytes]],
        callers: Callers = ANYBODY,
        *,
        front: bool = True,
    ) -> None:
        self._callers = callers
        self._service = service
        self._metrics = metrics
        self._front = front
        self._scraped: Shared[None, bytes] = Shared(_SCRAPE_GAP_S)

    def table(self) -> list[Route]:
        """The routes."""
        server = says(_SERVER)
        front = [Route("GET", "/", self.root, Scope.PUBLIC, server)] if self._front else []
        return [
            *front,
            Route("GET", "/v2/health/live", self.live, Scope.PUBLIC, Shape()),
            Route("GET", "/v2/health/ready", self.ready, Scope.PUBLIC, Shape()),
            Route("GET", "/v2", self.server, Scope.READ, server),
            Route("GET", "/metrics", self.scrape, Scope.METRICS, Shape({"text/plain": TEXT})),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/live`: 200 while the process answers."""
        return said(200)

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /v2/health/ready`: 503 while draining."""
        call = self._callers.call(request, time.monotonic())
        found = await self._service.server_ready(messages.ServerReadyRequest(), call)
        return said(200 if found.ready else 503)

    async def server(self, request: web.Request) -> web.Response:
        """`GET /v2`: server metadata."""
        call = self._callers.call(request, time.monotonic())
        asked = messages.ServerMetadataRequest()
        found = plain(await self._service.server_metadata(asked, call))
        return json_reply(found | {"extensions": [*_OVER_REST, *found["extensions"]]})

    async def root(self, request: web.Request) -> web.Response:
        """`GET /`: server metadata."""
        reply = await self.server(request)
        reply.headers["Content-Security-Policy"] = NO_PAGE
        return reply

    async def scrape(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        text = await self._scraped.get(None, self._metrics)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def said(status: int) -> web.Response:
    """As Triton and others answer probes: the status alone says it."""
    return web.Response(status=status, content_type="text/plain", headers=SAFE)
