"""The short way of the requests that most are: one image, here in one piece, to `/v1/classify`;
and of probes, which are to say that the agent lives while it has much to do.

Heads are parsed by aiohttp's parser as all are; the objects, tasks and timers that aiohttp makes
for a request are left out. What is unusual goes aiohttp's way: see `FastPath.takes`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from edge_agent.classify import Classifier, Request
from edge_agent.http.auth import counted_as
from edge_agent.local import LocalAnswer
from edge_agent.parameters import parse_query
from hawkvision.cascade import CascadePolicy
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.guard import DENIALS, Guard
from hawkvision.serving.access.ring import ANYBODY, Caller
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.bodies import BodyReader, Claim
from hawkvision.serving.http.connection import Connection
from hawkvision.serving.http.replies import encoded, shutting_down, whole_json, whole_reply
from hawkvision.serving.http.routes import Entrance, name_it
from hawkvision.serving.http.server import said
from hawkvision.serving.request_id import HEADER, About, RequestId, enter

PATH = "/v1/classify"
PROBES = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Both say the same until the agent drains, and then they are not for here."""

_WITH_QUERY = f"{PATH}?"
_ROUTE = f"POST {PATH}"


class FastPath:
    """Answers requests without aiohttp; one for all connections of an agent."""

    def __init__(
        self, classifier: Classifier, bodies: BodyReader, guard: Guard, entrance: Entrance
    ) -> None:
        self.classifier = classifier
        self.bodies = bodies
        self.guard = guard
        self.entrance = entrance
        self._asks_origins = entrance.origins.any
        self.loop = asyncio.get_running_loop()

    @property
    def open(self) -> bool:
        """See `Fast`: until the agent drains."""
        return not self.entrance.draining

    def takes(self, message: Any, payload: StreamReader) -> bool:
        """See `Fast`: an image, or a probe, over HTTP/1.1 on a connection that stays.

        Its body is here, without codings and not multipart; nothing is expected of us before. While
        the agent drains it takes nothing.
        """
        if not isinstance(message, RawRequestMessage) or self.entrance.draining:
            return False
        method, path, headers = message.method, message.path, message.headers
        if method == "POST":
            usual = path == PATH or path.startswith(_WITH_QUERY)
        else:
            usual = method == "GET" and path in PROBES
        if not usual:
            return False
        if message.should_close or message.upgrade or message.chunked:
            return False
        if "Content-Encoding" in headers or "Expect" in headers:
            return False
        if self._asks_origins and "Origin" in headers:
            return False
        if headers.get("Content-Type", "")[:9].lower() == "multipart":
            return False
        return message.version == HttpVersion11 and payload.is_eof() and payload.exception() is None

    def begin(self, connection: Connection, message: Any, body: bytes) -> None:
        """See `Fast`."""
        if message.method == "GET":
            reply = said(200)
            if HEADER in message.headers:
                name_it(reply, RequestId(message.headers))
            connection.says(whole_reply(reply, close=False), close=False)
            return
        _Call(self, connection, self.bodies.claim()).begin(message, body)


class _Call:
    """One request on its way: the pool's `Waiter`, and `Cancellable` for an agent that stops."""

    __slots__ = (
        *("_claim", "_connection", "_done", "_headers", "_image", "_named", "_path", "_request"),
        "_task",
    )

    def __init__(self, path: FastPath, connection: Connection, claim: Claim) -> None:
        self._path = path
        self._connection = connection
        self._claim = claim
        self._image = b""
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self._headers: Mapping[str, str] = {}
        self._named: RequestId | None = None

    def begin(self, message: Any, body: bytes) -> None:
        """As `ClassifyRoutes.classify` does, up to the pool."""
        path = self._path
        path.entrance.enter(self)
        try:
            arrived = time.monotonic()
            headers = self._headers = message.headers
            caller = ANYBODY
            if path.guard.on:
                peer = self._connection.seat.peer
                with About(self._name()):
                    caller = path.guard.admit(headers, Scope.CLASSIFY, peer, _ROUTE)
            trace = path.classifier.trace(headers.get("traceparent"), arrived)
            if trace is not None:
                self._name().trace = trace.header
            asked = parse_query(message.url.raw_query_string)
            counted = self._counted(caller, asked.app)
            self._request = path.classifier.resolve(asked, arrived, trace, counted)
            self._image = path.bodies.image(body, self._claim)
            path.classifier.begin(self._image, self._request, self)
        except Exception as error:
            self._refuse(error)

    def _counted(self, caller: Caller, app: str | None) -> str:
        try:
            return counted_as(caller, app)
        except DENIALS as error:
            with About(self._name()):
                self._path.guard.denied(error, caller.key, self._connection.seat.peer, _ROUTE)
            raise

    def _name(self) -> RequestId:
        """Who this is in logs: the usual request is never asked."""
        if self._named is None:
            self._named = RequestId(self._headers)
        return self._named

    def done(self) -> bool:
        """See `Waiter`."""
        return self._done

    cancelled = done
    """What is answered the pool need not do: only a stop answers before it has."""

    def set_result(self, edge: LocalAnswer, /) -> None:
        """See `Waiter`: the edge's answer."""
        request, classifier = self._request, self._path.classifier
        assert request is not None
        try:
            if CascadePolicy.answers_locally(edge.prediction, request.target):
                self._answer(classifier.reply(request, self._image, edge))
            else:
                self._task = self._path.loop.create_task(self._escalate(request, edge))
        except Exception as error:
            self._refuse(error)

    def set_exception(self, fault: BaseException, /) -> None:
        """See `Waiter`."""
        if isinstance(fault, HawkVisionError) and self._request is not None:
            self._path.classifier.failed(self._request, fault)
        self._refuse(fault)

    async def _escalate(self, request: Request, edge: LocalAnswer) -> None:
        enter(self._name())
        try:
            _, answer = await self._path.classifier.complete(self._image, request, edge)
            self._answer(answer)
        except asyncio.CancelledError:
            self._refuse(shutting_down())
            raise
        except Exception as error:
            self._refuse(error)

    def cancel(self) -> object:
        """See `Cancellable`: its client is told that the agent shuts down."""
        if self._task is not None:
            return self._task.cancel()
        self._refuse(shutting_down())
        return None

    def _answer(self, answer: Answer) -> None:
        close = self._path.entrance.draining
        named = self._named
        if named is None and HEADER in self._headers:
            named = self._name()
        shown = None if named is None else named.shown
        self._end(whole_json(encoded(answer.as_dict()), close=close, named=shown), close=close)

    def _refuse(self, error: BaseException) -> None:
        close = self._path.entrance.draining
        with About(self._name()):
            reply = self._path.entrance.refused(error, _ROUTE, PATH)
        self._end(whole_reply(reply, close=close), close=close)

    def _end(self, reply: bytes, *, close: bool) -> None:
        if self._done:
            return
        self._done = True
        self._claim.release()
        self._image, self._task = b"", None
        self._path.entrance.leave(self)
        self._connection.says(reply, close=close)
