"""One HTTP connection: aiohttp's, with times for what aiohttp waits for without end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from hawkvision.errors import BodyTimeout, InvalidRequest
from hawkvision.serving.http.connections import ConnectionLimits, Seat
from hawkvision.serving.http.heads import KnownHead
from hawkvision.serving.http.lines import is_plain
from hawkvision.serving.http.replies import (
    error_reply,
    fault,
    plain_error,
    raw_error,
    shutting_down,
    too_many,
)

_log = logging.getLogger(__name__)
_SLICE = 16 * 1024
"""In such pieces a read is parsed that may hold tiny chunks, bytes."""

_HEAD_ENDS = b"\r\n\r\n"

_FREE_OVERHEAD = 16 * 1024
"""A chunked body may take this and twice its content on the wire, bytes."""

_PART_S = 0.5
"""What still comes after a request that cannot be read is thrown away for so long, seconds."""

_LEAST_QUIET_S = 0.25
"""Who is silent for less may be about to speak, and is not sent away to make room."""

_LEAST_BODY_S = 1.0
"""Whose body comes for less than this is not sent away to make room."""


_INSIDE = (
    *("_buffer_paused", "_close", "_force_close", "_keepalive_timeout", "_messages"),
    *("_next_keepalive_close_time", "_parser", "_paused", "_reading_paused", "_waiter"),
)
"""What the fast path needs to know of aiohttp's insides, as aiohttp 3.14 has them."""

FITS = all(hasattr(web.RequestHandler, name) for name in _INSIDE)
"""Whether this aiohttp has them; with another one every request goes its way."""


class Fast(Protocol):
    """A way to answer that does without aiohttp, but for its parser."""

    def takes(self, message: Any, payload: StreamReader) -> bool:
        """Whether this request is for it; the others are aiohttp's."""
        ...

    @property
    def open(self) -> bool:
        """Whether it takes requests now."""
        ...

    def begin(self, connection: Connection, message: Any, body: bytes) -> None:
        """Answer it, by `Connection.says`."""
        ...


class Connection(web.RequestHandler):
    """Says how long it has waited for its client; `overdue` is asked now and then.

    aiohttp knows an idle timeout only, which a head that comes byte by byte passes and a client
    that does not read its answers outlives.
    """

    __slots__ = (
        "_answered",
        "_asked_at",
        "_begun_at",
        "_body",
        "_busy",
        "_chunked",
        "_deaf",
        "_fast",
        "_fed",
        "_handshake",
        "_head",
        "_known",
        "_line",
        "_quiet_at",
        "_refused",
        "_stalled_at",
        "_taken",
        "_weighed",
        "_wire",
        "seat",
    )

    def __init__(
        self,
        manager: web.Server,
        seat: Seat,
        refused: Callable[[str], None],
        *,
        loop: asyncio.AbstractEventLoop,
        fast: Fast | None = None,
        **options: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self.seat = seat
        self._refused = refused
        self._fast = fast if FITS else None
        self._taken = False
        self._known: KnownHead | None = None
        self._fed = 0  # bytes since the parser was between two requests for certain
        self._head = 0  # of these, the first head, if it came at once
        self._line: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._busy = False
        self._chunked: StreamReader | None = None
        self._weighed: StreamReader | None = None
        self._wire = 0
        self._deaf = False
        self._body: StreamReader = EMPTY_PAYLOAD
        self._answered = False
        self._asked_at = 0.0
        self._begun_at: float | None = None
        self._quiet_at = loop.time()
        self._stalled_at: float | None = None

    def shakes_hands(self, handshake: asyncio.Task[None]) -> None:
        """Until it is made, this task does its TLS handshake, and is cancelled to end it."""
        self._handshake = handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._handshake = None
        self._line = cast(asyncio.Transport, transport)
        self._quiet_at = self._loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol."""
        self._line = None
        self.seat.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol; the first byte of a head starts its time."""
        if self._begun_at is None and data and self.waits:
            self._begun_at = self._loop.time()
        if self._deaf:
            return
        if not data or (self._chunked is None and (len(data) <= _SLICE or is_plain(data))):
            self._parse(data)
            return
        for start in range(0, len(data), _SLICE):
            if not self._deaf:
                self._parse(data[start : start + _SLICE])
                self._weigh(min(_SLICE, len(data) - start))

    def resume_reading(self, *how: bool, **named: bool) -> None:
        """See aiohttp, whose streams ask for it after every body."""
        if not FITS or self._reading_paused or self._buffer_paused:
            super().resume_reading(*how, **named)

    def _parse(self, data: bytes) -> None:
        """Let aiohttp read it; a request that the fast path takes aiohttp's loop never hears of."""
        fast, waiter = self._fast, self._waiter
        if not self._fed:
            if self._known is not None and self._begins_again(self._known, data):
                return
            self._head = data.find(_HEAD_ENDS) + len(_HEAD_ENDS)
        self._fed += len(data)
        if fast is None or waiter is None or waiter.done():
            super().data_received(data)
            return
        self._waiter = None  # it is woken below, or sleeps on
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        messages = self._messages
        if not messages or self._taken or waiter.done():
            return
        if len(messages) == 1 and not self._paused and self._parser is not None:
            message, payload = messages[0]
            if fast.takes(message, payload):
                messages.clear()
                self._parser.message_consumed()
                self._body = payload
                if self._fed == len(data) == self._head + payload.total_bytes:
                    self._known = KnownHead.of(data, self._head, message)
                self._begin(fast, message, payload.read_nowait())
                return
        waiter.set_result(None)

    def _begins_again(self, known: KnownHead, data: bytes) -> bool:
        """Whether the fast path takes a request whose head needs no parsing."""
        fast, waiter = self._fast, self._waiter
        busy = self._taken or self._messages or waiter is None or waiter.done()
        ends = self._paused or self._close or self._force_close
        if busy or ends or fast is None or not fast.open or (body := known.body_of(data)) is None:
            return False
        self._fed = self._head = len(data)
        self._body = EMPTY_PAYLOAD
        self._begin(fast, known.message, body)
        return True

    def _begin(self, fast: Fast, message: Any, body: bytes) -> None:
        self._taken = self._busy = True
        self._asked_at = self._loop.time()
        fast.begin(self, message, body)

    def says(self, reply: bytes, *, close: bool) -> None:
        """The fast path's answer; the client's next request is waited for, unless it closes."""
        self._taken = False
        self._ready_again()
        line, waiter = self._line, self._waiter
        if line is None or line.is_closing():
            return
        line.write(reply)
        if close or self._close:
            self.force_close()
            return
        self._next_keepalive_close_time = self._quiet_at + self._keepalive_timeout
        if self._messages and waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _ready_again(self) -> None:
        """A request is answered, and its client's next one is waited for."""
        if self._fed == self._head + self._body.total_bytes and self._body.is_eof():
            self._fed = 0  # the request's own bytes and no more
        self._busy = False
        self._answered = True
        self._begun_at = None
        self._quiet_at = self._loop.time()

    def _weigh(self, size: int) -> None:
        """Refuse a chunked body of tiny chunks or long extensions: each costs the event loop.

        A chunk of one byte costs as much time as one of 100 kB does.
        """
        body = self._messages[-1][1] if self._messages else self._chunked
        if body is not self._weighed:
            self._weighed, self._wire = body, 0
            return
        self._wire += size
        if body is None or body.is_eof() or self._wire <= _FREE_OVERHEAD + 2 * body.total_bytes:
            return
        self._deaf = True
        body.set_exception(web.RequestPayloadError("its chunks are too small"))

    def answering(self, request: web.BaseRequest) -> None:
        """A request's head is here, and its handler begins."""
        self._busy = True
        self._body = request.content
        self._asked_at = self._loop.time()
        if "Transfer-Encoding" in request.headers:
            self._chunked = request.content

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """See aiohttp; from its end on the client's next request is waited for."""
        if isinstance(resp, web.HTTPException):  # of aiohttp's router: a target without a path
            resp = plain_error(
                resp.status, "not_found", "no such target", "A path begins with a slash."
            )
            resp.force_close()
        try:
            done = await super().finish_response(request, resp, start_time)
            if self._deaf:
                await self._part()
            return done
        finally:
            self._chunked = None
            self._body = request.content
            self._ready_again()

    async def _part(self) -> None:
        """Give the client a moment to read why: closing with unread data would reset the line."""
        line = self._line
        if line is None or line.is_closing():
            return
        if line.can_write_eof():
            line.write_eof()
        await asyncio.sleep(_PART_S)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What a client gets whose request cannot be read, or that aiohttp itself fails on."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if isinstance(exc, ConnectionError):
            reply = web.Response(status=499)  # nobody reads it
        elif status == 400:
            self._deaf = True
            self._refused(InvalidRequest.code)
            said = next(iter((message or "").split("\n")), "")[:120].rstrip(":")
            reply = error_reply(
                InvalidRequest(
                    f"the request cannot be read: {said}", hint="Send HTTP/1.1 (RFC 9112)."
                )
            )
        else:
            _log.error("unexpected error", exc_info=exc)
            self._refused("internal")
            reply = fault()
        reply.force_close()
        return reply

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """See aiohttp; a body that breaks off while it is thrown away is nobody's fault here."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError | HttpProcessingError):
            super().log_exception(*args, **kw)

    @property
    def waits(self) -> bool:
        """Whether it waits for a request, and neither answers one nor reads what is left of it."""
        return self._line is not None and not self._busy and self._body.is_eof()

    @property
    def silent(self) -> bool:
        """Whether it waits, and not even a head has begun."""
        return self.waits and self._begun_at is None

    @property
    def receives(self) -> bool:
        """Whether it answers a request whose body is not here yet."""
        return self._line is not None and self._busy and not self._body.is_eof()

    def evictable(self, now: float, quiet_s: float = _LEAST_QUIET_S) -> bool:
        """Whether it may be sent away to make room for somebody who has something to say."""
        if self.receives:
            return now - self._asked_at >= _LEAST_BODY_S
        quiet = self.waits or self._handshake is not None
        return quiet and now - self._quiet_at >= quiet_s

    @property
    def worth(self) -> tuple[int, float]:
        """Sorts first who has not asked anything, then slow bodies, then who has been answered."""
        if self.receives:
            return (1, self._asked_at)
        return (2 if self._answered else 0, self._quiet_at)

    def overdue(self, limits: ConnectionLimits, now: float) -> str | None:
        """Why it is to be ended now; None where its client keeps its time."""
        line = self._line
        if line is None:
            return None
        if line.get_write_buffer_size() == 0:
            self._stalled_at = None
        elif self._stalled_at is None:
            self._stalled_at = now
        elif now - self._stalled_at >= limits.write_s:
            return "write_timeout"
        if not self.waits or line.is_closing():
            return None
        if self._begun_at is not None:
            return "head_timeout" if now - self._begun_at >= limits.head_s else None
        if self._answered:
            return "idle" if now - self._quiet_at >= limits.idle_s else None
        return "head_timeout" if now - self._quiet_at >= limits.head_s else None

    def end(self, reason: str) -> None:
        """Close, whatever the client does; a client that sent half a head is told why."""
        line = self._line
        if line is None:
            if self._handshake is not None:
                self.seat.leave()
                self._handshake.cancel()
                self._handshake = None
            return
        half = self.waits and self._begun_at is not None and not line.is_closing()
        half = half and not self._deaf  # who sent what is no HTTP has been told already
        if half and reason == "head_timeout":
            line.write(raw_error(BodyTimeout("the request's head did not come in time")))
            self.force_close()
        elif half and reason == "stop":
            line.write(raw_error(shutting_down()))
            self.force_close()
        elif reason == "idle":
            self.force_close()
        elif reason == "room" and self.receives:
            line.write(raw_error(too_many("others wait, and this body comes slowly")))
            self.seat.leave()
            self.force_close()
        else:
            self.seat.leave()
            line.abort()
