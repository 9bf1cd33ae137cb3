"""`/v1/streams`: open, watch, follow and end lossy streams."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import orjson
from aiohttp import web

from edge_agent.http.auth import counted_as
from edge_agent.parameters import parse_app
from edge_agent.streams.events import Event
from edge_agent.streams.registry import StreamRegistry
from hawkvision.contract.stream import StreamStatus
from hawkvision.errors import Overloaded
from hawkvision.json_schema import Like, Part
from hawkvision.lossy.offer import StreamOffer, StreamRequest, parse_stream_request
from hawkvision.lossy.wire.srtp import DEFAULT_SUITE
from hawkvision.serving.access.guard import current_caller
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.replies import SAFE, json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import JSON, TEXT, Shape, says
from hawkvision.serving.peers import is_loopback

_KEEP_ALIVE_S = 10.0
_ENDS = ("peername", "sockname")
_MOST_LISTENERS = 16
_IN_THE_CLEAR = "the key crossed the network in the clear; serve HTTPS (--tls-cert)"


_OFFER = StreamOffer(
    *("id", "host", 1, 1, DEFAULT_SUITE, b"key", 1200, 100.0, 50.0, 60.0, 1),
    width=640,
    height=480,
)
_OPENED = says(
    Like("StreamOffer", (_OFFER.as_dict(), replace(_OFFER, suite="none", warning="x").as_dict())),
    status=201,
    takes={JSON: Part("StreamAsked", StreamRequest, closed=True)},
    needed=False,
)


class StreamRoutes:
    """A stream's id is a secret that only its opener gets; whoever has it may follow and end it."""

    def __init__(self, registry: StreamRegistry, bodies: BodyReader) -> None:
        self._registry = registry
        self._bodies = bodies

    def table(self) -> list[Route]:
        """The routes."""
        path, scope = "/v1/streams/{id}", Scope.STREAMS
        events = Shape({"text/event-stream": TEXT}, query={"after": int})
        return [
            Route("POST", "/v1/streams", self.open, scope, _OPENED, "streams.opened"),
            Route("GET", path, self.status, scope, says(StreamStatus)),
            Route("GET", f"{path}/results", self.results, scope, events),
            Route("DELETE", path, self.delete, scope, Shape(status=204), "streams.ended"),
        ]

    async def open(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/streams`: 201 with address, SSRC, key, advice and command lines."""
        asked = parse_stream_request(
            await self._bodies.json(request) if request.can_read_body else {}
        )
        transport = request.transport
        ends = [transport and transport.get_extra_info(name) for name in _ENDS]
        if not all(ends):  # under TLS a transport forgets both when it is lost
            raise ConnectionResetError("the client has gone")
        peer, host = (str(one[0]) for one in ends if one)
        app = None if asked.app is None else parse_app(asked.app)
        counted = counted_as(current_caller(), app)
        stream = await self._registry.open(asked, host=host, peer=peer, counted=counted)
        offer = stream.offer
        if offer.key and not is_loopback(peer) and request.scheme != "https":
            offer = replace(offer, warning=_IN_THE_CLEAR)
        reply = json_reply(offer.as_dict(), 201)
        reply.headers["Location"] = f"/v1/streams/{offer.id}"
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
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream", **SAFE})
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
