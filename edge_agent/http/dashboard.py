"""`/` and `/v1/dashboard/events`: the page that shows what the agent does, and what feeds it."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from edge_agent.dashboard.dashboard import Dashboard
from edge_agent.dashboard.page import page
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.routes import Entrance, Route
from hawkvision.serving.http.shapes import TEXT, Shape

_KEEP_ALIVE_S = 10.0
_GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class DashboardRoutes:
    """The page is the same for everybody and holds no data; all of that comes as events."""

    def __init__(self, dashboard: Dashboard, entrance: Entrance) -> None:
        self._dashboard = dashboard
        self._entrance = entrance
        dashboard.draining = lambda: entrance.draining

    def table(self) -> list[Route]:
        """The routes."""
        events = Shape({"text/event-stream": TEXT})
        return [
            Route("GET", "/", self.page, Scope.PUBLIC, Shape({"text/html": TEXT})),
            Route("GET", "/v1/dashboard/events", self.events, Scope.READ, events),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """`GET /`: one page, which asks nothing of any other host."""
        found = await asyncio.to_thread(page)
        headers = {
            "Content-Security-Policy": found.policy,
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "ETag": found.etag,
            **_GUARDS,
        }
        if request.headers.get("If-None-Match") == found.etag:
            return web.Response(status=304, headers=headers)
        body = found.html
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = found.gzipped
            headers["Content-Encoding"] = "gzip"
        headers["Content-Type"] = "text/html; charset=utf-8"
        return web.Response(body=body, headers=headers)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/dashboard/events`: server-sent events `whole`, then `now` every second."""
        reply = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                **_GUARDS,
            }
        )
        if request.method == "HEAD":
            return reply
        with self._dashboard.listening(), contextlib.suppress(ConnectionError):
            events = self._dashboard.events()
            async with contextlib.aclosing(events):
                await reply.prepare(request)
                await reply.write(b"retry: 2000\n\n")
                async for event in events:
                    await reply.write(event)
                    if self._entrance.draining:
                        break
            await reply.write_eof()
        return reply
