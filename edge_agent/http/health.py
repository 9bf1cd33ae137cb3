"""`/v2/health…`, `/v2` and `/metrics`: whether the agent serves, and what it says of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edge_agent.http.describe import describe_server
from edge_agent.http.replies import json_reply
from edge_agent.http.routes import Entrance, Route
from edge_agent.shared import Shared

_SCRAPE_GAP_S = 0.1
"""Between the beginnings of two scrapes; who asks meanwhile shares the next one."""


class HealthRoutes:
    """For probes, scrapers, and clients of the Open Inference Protocol.

    `front` has it answer at `/` too, as `GET /v2`.
    """

    def __init__(
        self, metrics: Callable[[], Awaitable[bytes]], entrance: Entrance, *, front: bool
    ) -> None:
        self._metrics = metrics
        self._front = front
        self._entrance = entrance
        self._scraped: Shared[None, bytes] = Shared(_SCRAPE_GAP_S)

    def table(self) -> list[Route]:
        """The routes."""
        front = [Route("GET", "/", self.server)] if self._front else []
        return [
            *front,
            Route("GET", "/v2/health/live", self.live),
            Route("GET", "/v2/health/ready", self.ready),
            Route("GET", "/v2", self.server),
            Route("GET", "/metrics", self.scrape),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/live`: 200 while the process answers."""
        return said(200)

    async def ready(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/ready`: 503 while draining."""
        return said(503 if self._entrance.draining else 200)

    async def server(self, _request: web.Request) -> web.Response:
        """`GET /v2`: server metadata."""
        return json_reply(describe_server())

    async def scrape(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        text = await self._scraped.get(None, self._metrics)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def said(status: int) -> web.Response:
    """As Triton and others answer probes: the status alone says it."""
    return web.Response(status=status, content_type="text/plain")
