"""The gRPC door: every call is bounded before its message is received, read and answered.

Handlers of unary calls would be called once the message is whole, parsed by gRPC, whose own words
for a malformed one are a Python traceback's. So the door takes every call as a stream of bytes,
which on the wire is the same, and reads one message itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from hawkvision.errors import (
    BodyTimeout,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
)
from hawkvision.oip.structure import STRUCTURE_BYTES
from hawkvision.serving.clients import Clients
from hawkvision.serving.grpc.held import Held
from hawkvision.serving.grpc.peers import parse_peer, shown_names
from hawkvision.serving.grpc.reception import Arrival, Reception
from hawkvision.serving.grpc.status import Status, status_of
from hawkvision.serving.in_time import in_time
from hawkvision.serving.peers import Peer
from hawkvision.serving.quota import Quota
from hawkvision.serving.request_id import METADATA, RequestId, current, enter

_log = logging.getLogger(__name__)
Request = TypeVar("Request", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]

_MAKE_WAY = Overloaded(
    "this call's message is not here, and others wait to send theirs",
    hint="Send the message with the call; retry after the time in retry-after.",
)


def _nothing(_size: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, when the answer is due (`time.monotonic`), and the metadata that are text.

    Over REST those are the headers; there is the raw query too, the time at which the request came
    (None: now), and what takes bytes that are held beside the message's, and raises Overloaded.
    """

    peer: Peer
    deadline: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    arrived: float | None = None
    hold: Callable[[int], None] = _nothing


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """One unary method: the type of its request, what answers it.

    `check` looks at a message before it is parsed, and raises InvalidRequest. `room` is asked
    before the message is received, and raises Overloaded where no message could get an answer.
    """

    request: type[Request]
    answer: Callable[[Request, Call], Awaitable[Message]]
    check: Callable[[bytes], None]
    room: Callable[[Call], None] | None = None


@dataclass(frozen=True, slots=True)
class EntranceLimits:
    """Times in seconds: to receive a message, and to answer a call altogether.

    A message that is compressed inflates to at most `message_bytes`.
    """

    receive_s: float
    deadline_s: float
    message_bytes: int


class Entrance:
    """Receives messages, answers them by `Method`s, and words every error as a status.

    `held_bytes` are those of messages that are here and not answered.
    """

    def __init__(
        self,
        reception: Reception,
        held_bytes: Quota,
        limits: EntranceLimits,
        clients: Clients | None = None,
    ) -> None:
        self._clients = clients or Clients()
        self._reception = reception
        self.held_bytes = held_bytes
        self._limits = limits
        self._visits: dict[Arrival, _Visit] = {}
        self._refusing: set[asyncio.Task[None]] = set()
        self._next_turn: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None

    def unary(self, method: Method[Any]) -> grpc.RpcMethodHandler[bytes, bytes]:
        """What gRPC calls for a method with one request and one reply."""

        async def serve(_messages: object, context: Context) -> bytes:
            metadata = metadata_of(context)
            named = RequestId(metadata)
            enter(named)
            try:
                reply = await self._answer(method, context, metadata)
                if (shown := named.shown) is not None:
                    context.set_trailing_metadata(((METADATA, shown),))
                return reply
            except grpc.aio.BaseError:  # the call or the server has ended: nobody to tell
                raise
            except Exception as error:
                status = told(error)
            # Out here the abort does not keep the error alive, nor the images of its traceback.
            return await context.abort(status.code, status.details, status.trailing)

        return grpc.stream_unary_rpc_method_handler(serve)

    async def _answer(
        self, method: Method[Any], context: Context, metadata: Mapping[str, str]
    ) -> bytes:
        peer = self.peer(context)
        begun = time.monotonic()
        asked = context.time_remaining()
        most = begun + self._limits.deadline_s
        deadline = most if asked is None else min(most, begun + asked)
        call = Call(peer, deadline, metadata)
        if method.room is not None:
            method.room(call)
        raw = await self.receive(peer, context)
        with self.hold(peer, raw) as held:
            plain = await held.inflated(raw)
            del raw
            answer = method.answer(parse(method.request, plain, method.check), call)
            del plain  # whoever answers decides what of it is kept
            if deadline < most:  # gRPC itself cancels at the client's deadline
                return (await answer).SerializeToString()
            most_s = self._limits.deadline_s
            return (await in_time(answer, most, most_s)).SerializeToString()

    def peer(self, context: Context) -> Peer:
        """Who calls. Raises Forbidden for who may not."""
        peer, clients = parse_peer(context.peer()), self._clients
        return clients.named(peer, shown_names(context)) if clients.certified else peer

    def hold(self, peer: Peer, raw: bytes) -> Held:
        """Hold a message's bytes, as long as it is at work. Raises Overloaded on entry."""
        return Held(self.held_bytes, peer, len(raw), self._limits.message_bytes)

    @property
    def deadline_s(self) -> float:
        """How long an answer may take, seconds."""
        return self._limits.deadline_s

    async def receive(self, peer: Peer, context: Context) -> bytes:
        """The one message of a call, when it is its turn.

        A call whose message is late, or has to make way, is ended here; gRPC's AbortError says so.
        It is never cancelled: gRPC leaks what a read that was cancelled receives after all.
        Raises InvalidRequest where there is no message.
        """
        now = time.monotonic()
        arrival = self._reception.arrive(peer, now)
        visit = self._visits[arrival] = _Visit(context, now + self._limits.receive_s)
        if self._sweep is None:
            self._sweep = visit.loop.call_later(self._limits.receive_s, self._end_late)
        raw: Any = None
        try:
            self._settle()
            if not arrival.reading:
                visit.turn = visit.loop.create_future()
                await visit.turn
            raw = await context.read()
        finally:
            del self._visits[arrival]
            if raw is None or raw is grpc.aio.EOF:
                self._reception.gone(arrival)
            else:
                self._reception.received(arrival)
            self._settle()
        if raw is grpc.aio.EOF:
            raise InvalidRequest("the call has no message", hint="Send one message in each call.")
        message: bytes = raw
        return message

    def _settle(self) -> None:
        """Carry out what follows from calls that came or went; come back when patience ends."""
        if not self._reception.unsettled:
            return
        turn = self._reception.turn(time.monotonic())
        for arrival in turn.refuse:
            self._end(self._visits[arrival], _MAKE_WAY)
        for arrival in turn.start:
            self._visits[arrival].begin()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        due = self._reception.next_turn()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._next_turn = loop.call_later(max(0.0, due - time.monotonic()), self._settle)

    def _end_late(self) -> None:
        """End the calls whose time to send a message is over; they stand oldest first."""
        self._sweep = None
        now = time.monotonic()
        for arrival, visit in self._visits.items():
            if visit.due > now:
                self._sweep = visit.loop.call_later(visit.due - now, self._end_late)
                break
            if not visit.ended:
                self._reception.failed(arrival)
                receive_s = self._limits.receive_s
                self._end(
                    visit,
                    BodyTimeout(
                        f"no message within {receive_s:g} s",
                        hint="Send the message with the call, or images in smaller requests.",
                    ),
                )
        self._settle()

    def _end(self, visit: _Visit, error: HawkVisionError) -> None:
        visit.ended = True
        task = visit.loop.create_task(visit.end(status_of(error)))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)


class _Visit:
    """A call that has not sent its message, which is due at `due`."""

    __slots__ = ("context", "due", "ended", "loop", "turn")

    def __init__(self, context: Context, due: float) -> None:
        self.context = context
        self.due = due
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] | None = None
        self.ended = False

    def begin(self) -> None:
        """It is its turn; also where it has been ended, which it then learns."""
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)

    async def end(self, status: Status) -> None:
        """Tell the client; whatever waits for the message is told by gRPC."""
        try:
            await self.context.abort(status.code, status.details, status.trailing)
        except grpc.aio.BaseError:
            self.begin()


def metadata_of(context: Context) -> dict[str, str]:
    """What a client sent beside its messages, but for binary values; of a name the last value."""
    return {
        name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)
    }


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


def check_small(raw: bytes) -> None:
    """Raise PayloadTooLarge for a message that is too large for a method without images."""
    if len(raw) > STRUCTURE_BYTES:
        raise PayloadTooLarge(
            f"a message of {len(raw)} bytes; the limit is {STRUCTURE_BYTES} for this method",
            hint="It takes names only.",
        )


def told(error: Exception) -> Status:
    """The status that ends a call, with its id; what nobody expected goes to the log."""
    status = status_of(error)
    if status.code is grpc.StatusCode.INTERNAL:
        _log.error("a call failed", exc_info=error)
    else:
        _log.debug("a call is refused: %s", status.details.partition(":")[0])
    if (named := current()) is None:
        return status
    return replace(status, trailing=(*status.trailing, (METADATA, named.text)))
