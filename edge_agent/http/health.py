"""`/v2/health…`, `/v2…` and `/metrics`: whether the agent serves, and what it says of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edge_agent.classify import Classifier
from edge_agent.http.describe import describe_model, describe_server
from edge_agent.http.replies import json_reply
from edge_agent.http.routes import Entrance, Route
from edge_agent.shared import Shared

_SCRAPE_GAP_S = 0.1
"""Between the beginnings of two scrapes; who asks meanwhile shares the next one."""


class HealthRoutes:
    """For probes, scrapers, and clients of the Open Inference Protocol."""

    def __init__(
        self, classifier: Classifier, metrics: Callable[[], Awaitable[bytes]], entrance: Entrance
    ) -> None:
        self._classifier = classifier
        self._metrics = metrics
        self._entrance = entrance
        self._scraped: Shared[None, bytes] = Shared(_SCRAPE_GAP_S)

    def table(self) -> list[Route]:
        """The routes."""
        return [
            Route("GET", "/v2/health/live", self.live),
            Route("GET", "/v2/health/ready", self.ready),
            Route("GET", "/v2", self.server),
            Route("GET", "/v2/models/{task}", self.model),
            Route("GET", "/v2/models/{task}/ready", self.ready),
            Route("GET", "/metrics", self.scrape),
            Route("GET", "/", self.server),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/live`: 200 while the process answers."""
        return json_reply({"live": True})

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /v2/health/ready` and `/v2/models/{task}/ready`: 503 while draining."""
        name = request.match_info.get("task")
        if name is not None and name not in self._classifier.tasks:
            return json_reply({"error": f"unknown model {name[:80]!r}"}, 404)
        draining = self._entrance.draining
        body: dict[str, Any] = {"ready": not draining}
        if name is not None:
            body = {"name": name, **body}
        return json_reply(body, 503 if draining else 200)

    async def server(self, _request: web.Request) -> web.Response:
        """`GET /v2`: server metadata."""
        return json_reply(describe_server())

    async def model(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}`: a task as the Open Inference Protocol describes a model."""
        name = request.match_info["task"]
        local = self._classifier.tasks.get(name)
        if local is None:
            return json_reply({"error": f"unknown model {name[:80]!r}"}, 404)
        return json_reply(describe_model(local))

    async def scrape(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        text = await self._scraped.get(None, self._metrics)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
