"""`/v1/streams`: open, watch, follow and end lossy streams."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import orjson
from aiohttp import web

from edge_agent.http.auth import AppKeys
from edge_agent.parameters import parse_app
from edge_agent.streams.events import Event
from edge_agent.streams.registry import StreamRegistry
from hawkvision.errors import Overloaded
from hawkvision.lossy.offer import parse_stream_request
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.peers import is_loopback

_KEEP_ALIVE_S = 10.0
_MOST_LISTENERS = 16
_IN_THE_CLEAR = "the key crossed the network in the clear; serve HTTPS (--tls-cert)"


class StreamRoutes:
    """A stream's id is a secret that only its opener gets; whoever has it may follow and end it."""

    def __init__(self, registry: StreamRegistry, bodies: BodyReader, keys: AppKeys) -> None:
        self._registry = registry
        self._keys = keys
        self._bodies = bodies

    def table(self) -> list[Route]:
        """The routes."""
        return [
            Route("POST", "/v1/streams", self.open),
            Route("GET", "/v1/streams/{id}", self.status),
            Route("GET", "/v1/streams/{id}/results", self.results),
            Route("DELETE", "/v1/streams/{id}", self.delete),
        ]

    async def open(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/streams`: 201 with address, SSRC, key, advice and command lines."""
        asked = parse_stream_request(
            await self._bodies.json(request) if request.can_read_body else {}
        )
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        peer = str(transport.get_extra_info("peername")[0])
        host = str(transport.get_extra_info("sockname")[0])
        app = None if asked.app is None else parse_app(asked.app)
        counted = self._keys.counted(app, request.headers)
        stream = await self._registry.open(asked, host=host, peer=peer, counted=counted)
        offer = stream.offer
        if offer.key and not is_loopback(peer) and request.scheme != "https":
            offer = replace(offer, warning=_IN_THE_CLEAR)
        reply = json_reply(offer.as_dict(), 201)
        reply.headers["Location"] = f"/v1/streams/{offer.id}"
        reply.headers["Cache-Control"] = "no-store"
        return reply

    async def status(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/streams/{id}`: counts and advice."""
        return json_reply(self._registry.get(request.match_info["id"]).status().as_dict())

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/streams/{id}`: 204."""
        self._registry.end(request.match_info["id"], "deleted")
        return web.Response(status=204)

    async def results(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/streams/{id}/results`: server-sent events `result`, `advice`, `end`.

        With `Last-Event-ID` (or `?after=`) recent events after that number come first.
        """
        stream = self._registry.get(request.match_info["id"])
        if stream.events.listeners >= _MOST_LISTENERS:
            raise Overloaded(f"{_MOST_LISTENERS} listen to this stream", hint="Close one of them.")
        last = request.headers.get("Last-Event-ID", request.rel_url.query.get("after", ""))
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        reply = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        if request.method == "HEAD":
            return reply
        queue = stream.events.listen(after)
        try:
            await reply.prepare(request)
            await reply.write(b"retry: 1000\n\n")
            while (event := await _next(queue)) is not None:
                await reply.write(event)
        except ConnectionError:
            pass
        finally:
            stream.events.unlisten(queue)
        with contextlib.suppress(ConnectionError):
            await reply.write_eof()
        return reply


async def _next(queue: asyncio.Queue[Event | None]) -> bytes | None:
    """The next event as text, a comment while nothing happens, None at the end."""
    try:
        async with asyncio.timeout(_KEEP_ALIVE_S):
            event = await queue.get()
    except TimeoutError:
        return b": still here\n\n"
    if event is None:
        return None
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.number,
        event.name.encode(),
        orjson.dumps(event.data),
    )
