"""The workers of one service among each other: private routes, and requests that are passed on.

What belongs to one worker alone, a stream say, is asked of whichever worker the kernel gave the
connection to; that one passes the request on over the private socket of the right one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import aiohttp
from aiohttp import web
from yarl import URL

from edge_agent.place import Place
from hawkvision.errors import UnknownStream
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.log import SERVER_LOG
from hawkvision.serving.http.replies import SAFE
from hawkvision.serving.http.routes import Entrance, Handler, Route, application
from hawkvision.serving.http.shapes import Shape
from hawkvision.serving.request_id import HEADER, current

_log = logging.getLogger(__name__)
_PASSED_UP = ("Last-Event-ID",)
_PASSED_DOWN = ("Content-Type", "Cache-Control", "Retry-After", HEADER)
_CONNECT_S = 1.0
_TELL_S = 1.0
_ENDS_S = 0.1
_MOST_SAID = 300
_STREAMED = "text/event-stream"

Told = Callable[[str], Awaitable[None]]
"""Takes what it is about, e.g. a task's name; empty for most."""


class Siblings:
    """One worker's way to the others. `told` are what they may tell it, by name."""

    def __init__(self, place: Place, told: dict[str, Told]) -> None:
        self._place = place
        self._told = told
        self._sessions: dict[int, aiohttp.ClientSession] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, routes: Sequence[Route], entrance: Entrance) -> None:
        """Answer the others: these routes, and what they tell. Raises OSError.

        Whoever passes a request on has asked for its key.
        """
        routes = [replace(one, scope=Scope.PUBLIC, changes=None) for one in routes]
        told = [
            Route("POST", f"/{name}", _answering(work), Scope.PUBLIC, Shape(status=204))
            for name, work in self._told.items()
        ]
        self._runner = web.AppRunner(
            application([*routes, *told], entrance),
            access_log=None,
            logger=SERVER_LOG,
            handle_signals=False,
            shutdown_timeout=_ENDS_S,
        )
        await self._runner.setup()
        path = self._place.socket_of("http", self._place.index)
        path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, path).start()

    def of_streams(self, routes: Sequence[Route]) -> list[Route]:
        """Routes of which those that name a stream are passed on to the worker that has it."""
        return [
            replace(one, handler=self._passed_on(one.handler)) if "{id}" in one.path else one
            for one in routes
        ]

    def _passed_on(self, handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def answer(request: web.Request) -> web.StreamResponse:
            owner = self.owner(request.match_info["id"])
            if owner is None or owner == self._place.index:
                return await handler(request)
            return await self._ask(owner, request)

        return answer

    def owner(self, stream_id: str) -> int | None:
        """The worker whose stream this is; None for what is no id of ours."""
        number, dot, _ = stream_id.partition(".")
        if not dot or not number.isascii() or not number.isdigit() or len(number) > 2:
            return None
        return int(number) if int(number) < self._place.count else None

    def _session(self, index: int) -> aiohttp.ClientSession:
        found = self._sessions.get(index)
        if found is None:
            found = self._sessions[index] = aiohttp.ClientSession(
                "http://worker",
                connector=aiohttp.UnixConnector(str(self._place.socket_of("http", index)), limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                auto_decompress=False,
            )
        return found

    async def _ask(self, owner: int, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in _PASSED_UP if name in request.headers}
        if (named := current()) is not None:
            headers[HEADER] = named.text
        path = URL.build(
            path=request.rel_url.raw_path,
            query_string=request.rel_url.raw_query_string,
            encoded=True,
        )
        try:
            async with self._session(owner).request(request.method, path, headers=headers) as found:
                kept = {name: found.headers[name] for name in _PASSED_DOWN if name in found.headers}
                if found.headers.get("Content-Type") != _STREAMED or request.method == "HEAD":
                    return web.Response(status=found.status, headers=kept, body=await found.read())
                reply = web.StreamResponse(status=found.status, headers={**SAFE, **kept})
                await _stream(found, reply, request)
                return reply
        except aiohttp.ClientError as error:
            raise UnknownStream(
                "no such stream; the worker that had it has ended",
                hint="POST /v1/streams opens one.",
            ) from error

    async def tell(self, what: str, about: str = "", within_s: float = _TELL_S) -> dict[int, str]:
        """All others, within this time; one that is away learns it when it starts.

        What each of them that refused said.
        """
        said: dict[int, str] = {}
        work = [self._tell(index, what, about, said) for index in self._place.others]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await asyncio.gather(*work)
        return said

    async def _tell(self, index: int, what: str, about: str, said: dict[int, str]) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            path = URL.build(path=f"/{what}", query={"about": about})
            async with self._session(index).post(path) as reply:
                body = await reply.text()
                if reply.status != 204:
                    said[index] = body[:_MOST_SAID]

    async def close(self) -> None:
        """Hang up, and answer no more."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._runner is not None:
            await self._runner.cleanup()


async def _stream(
    found: aiohttp.ClientResponse, reply: web.StreamResponse, request: web.Request
) -> None:
    """Pass on what comes until either side ends."""
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        await reply.prepare(request)
        async for data in found.content.iter_any():
            await reply.write(data)
    with contextlib.suppress(ConnectionError):
        await reply.write_eof()


def _answering(work: Told) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        await work(request.rel_url.query.get("about", ""))
        return web.Response(status=204)

    return answer
