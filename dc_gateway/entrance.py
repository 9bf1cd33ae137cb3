"""The gRPC door: every call is bounded before its message is received, read and answered.

Handlers of unary calls would be called once the message is whole, parsed by gRPC, whose own words
for a malformed one are a Python traceback's. So the door takes every call as a stream of bytes,
which on the wire is the same, and reads one message itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from dc_gateway.peers import Peer, parse_peer
from dc_gateway.quota import Quota
from dc_gateway.reception import Arrival, Reception
from dc_gateway.status import Status, status_of
from hawkvision.errors import BodyTimeout, DeadlineExceeded, InvalidRequest, Overloaded

_log = logging.getLogger(__name__)
Request = TypeVar("Request", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, and when the answer is due (`time.monotonic`)."""

    peer: Peer
    deadline: float


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """One unary method: the type of its request, what answers it.

    `check` looks at a message before it is parsed, and raises InvalidRequest.
    """

    request: type[Request]
    answer: Callable[[Request, Call], Awaitable[Message]]
    check: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class EntranceLimits:
    """Times in seconds: to receive a message, and to answer a call altogether."""

    receive_s: float
    deadline_s: float


class Entrance:
    """Receives messages, answers them by `Method`s, and words every error as a status."""

    def __init__(self, reception: Reception, held_bytes: Quota, limits: EntranceLimits) -> None:
        self._reception = reception
        self._held_bytes = held_bytes
        self._limits = limits
        self._turns: dict[Arrival, _Turn] = {}
        self._timer: asyncio.TimerHandle | None = None

    def unary(self, method: Method[Any]) -> grpc.RpcMethodHandler[bytes, bytes]:
        """What gRPC calls for a method with one request and one reply."""

        async def serve(_messages: object, context: Context) -> bytes:
            try:
                return await self._answer(method, context)
            except grpc.aio.BaseError:  # the call or the server has ended: nobody to tell
                raise
            except Exception as error:
                status = told(error)
            # Out here the abort does not keep the error alive, nor the images of its traceback.
            return await context.abort(status.code, status.details, status.trailing)

        return grpc.stream_unary_rpc_method_handler(serve)

    async def _answer(self, method: Method[Any], context: Context) -> bytes:
        peer = parse_peer(context.peer())
        remaining = context.time_remaining()
        allowed_s = min(math.inf if remaining is None else remaining, self._limits.deadline_s)
        call = Call(peer, time.monotonic() + allowed_s)
        try:
            async with asyncio.timeout(allowed_s):
                raw = await self.receive(peer, context)
                with self._held_bytes.take(peer, len(raw)):
                    answering = method.answer(parse(method.request, raw, method.check), call)
                    del raw  # whoever answers decides what of it is kept
                    return (await answering).SerializeToString()
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer within {allowed_s:.3g} s",
                hint=f"The most that a call may take here is {self._limits.deadline_s:g} s.",
            ) from error

    async def receive(self, peer: Peer, context: Context) -> bytes:
        """The one message of a call, when it is its turn.

        Raises Overloaded where others go first, BodyTimeout for a message that does not come, and
        InvalidRequest where there is none.
        """
        arrival = self._reception.arrive(peer, time.monotonic())
        turn = _Turn(asyncio.timeout(self._limits.receive_s))
        raw: Any = None
        try:
            async with turn.timeout:
                self._turns[arrival] = turn
                self._next()
                if not arrival.reading:
                    await turn.begun.wait()
                raw = await _read(context)
        except TimeoutError as error:
            self._reception.failed(arrival)
            raise self._too_late(turn) from error
        finally:
            self._turns.pop(arrival, None)
            if raw is None or raw is grpc.aio.EOF:
                self._reception.gone(arrival)
            else:
                self._reception.received(arrival)
            self._next()
        if raw is grpc.aio.EOF:
            raise InvalidRequest("the call has no message", hint="Send one message in each call.")
        message: bytes = raw
        return message

    def _too_late(self, turn: _Turn) -> Overloaded | BodyTimeout:
        if turn.refused:
            return Overloaded(
                "this call's message is not here, and others wait to send theirs",
                hint="Send the message with the call; retry after the time in retry-after.",
            )
        return BodyTimeout(
            f"no message within {self._limits.receive_s:g} s",
            hint="Send the message with the call, or images in smaller requests.",
        )

    def _next(self) -> None:
        """Carry out what follows from calls that came or went; come back when patience ends."""
        if not self._reception.unsettled:
            return
        turn = self._reception.turn(time.monotonic())
        for arrival in turn.refuse:
            self._turns[arrival].refuse()
        for arrival in turn.start:
            self._turns[arrival].begun.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._reception.next_turn()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - time.monotonic()), self._next)


class _Turn:
    """What a call's coroutine is told while it waits for its message."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self.timeout = timeout
        self.begun = asyncio.Event()
        self.refused = False

    def refuse(self) -> None:
        """End the wait at once."""
        if not self.timeout.expired():
            self.refused = True
            self.timeout.reschedule(-math.inf)


def _read(context: Context) -> asyncio.Future[Any]:
    """A message to wait for; gRPC leaks what a read that was cancelled receives after all."""
    reading = asyncio.ensure_future(context.read())
    reading.add_done_callback(lambda done: done.cancelled() or done.exception())
    return asyncio.shield(reading)


def parse(kind: type[Request], raw: bytes, check: Callable[[bytes], None]) -> Request:
    """A message of this type. Raises InvalidRequest for what is none, or too much of one."""
    check(raw)
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name
        raise InvalidRequest(
            f"the message is no {name}", hint="Compare its encoding with the protocol's .proto."
        ) from error


def told(error: Exception) -> Status:
    """The status that ends a call; what nobody expected goes to the log."""
    status = status_of(error)
    if status.code is grpc.StatusCode.INTERNAL:
        _log.error("a call failed", exc_info=error)
    return status
