"""Streams of requests with a reply to each: bounded in number, messages, bytes and time.

Replies come in the order of their requests. An error is the reply to its request and ends nothing,
but for clients that ask, as of Triton, for a stream that ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from hawkvision.errors import DeadlineExceeded, LimitReached, ShuttingDown
from hawkvision.serving.grpc.entrance import Call, Context, Entrance, metadata_of, parse, told
from hawkvision.serving.grpc.status import Status, status_of
from hawkvision.serving.grpc.stream_book import StreamBook, StreamLimits, StreamSeat
from hawkvision.serving.in_time import in_time
from hawkvision.serving.peers import Peer
from hawkvision.serving.request_id import RequestId, enter

ENDS_WITH_AN_ERROR = "triton_grpc_error"
"""Request metadata, Triton's: `true` makes the first error the status of the whole stream."""

_MAKE_WAY = LimitReached(
    "this stream sends nothing, and another one wants its place",
    hint="Open a stream when there is something to send.",
)


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """What answers each request of a stream; `refuse` words an error as a reply.

    `check` looks at a message before it is parsed, and raises InvalidRequest. `room` is asked
    before the stream begins, and raises why it must not.
    """

    request: type[Any]
    answer: Callable[[Any, Call], Awaitable[Message]]
    refuse: Callable[[Any | None, Status], Message]
    check: Callable[[bytes], None]
    room: Callable[[Call], None] | None = None


class Streams:
    """The streams behind an entrance."""

    def __init__(self, entrance: Entrance, limits: StreamLimits) -> None:
        self._entrance = entrance
        self._book = StreamBook(limits)
        self._open: dict[StreamSeat, _Stream] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._looks: asyncio.TimerHandle | None = None
        self.draining = False

    def handler(self, method: StreamMethod) -> grpc.RpcMethodHandler[bytes, bytes]:
        """What gRPC calls for a method."""

        async def serve(_messages: object, context: Context) -> None:
            try:
                await self._serve(method, context)
                return
            except grpc.aio.BaseError:
                raise
            except Exception as error:
                status = told(error)
            await context.abort(status.code, status.details, status.trailing)

        return grpc.stream_stream_rpc_method_handler(serve)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def stuck(self) -> int:
        """Streams whose client does not take its replies."""
        return sum(one.stuck for one in self._open.values())

    def drain(self) -> None:
        """Take no more messages; what is in flight is answered, and then each stream ends."""
        self.draining = True
        for seat in self._book.silent():
            self._open[seat].end(status_of(_stops()))

    async def _serve(self, method: StreamMethod, context: Context) -> None:
        metadata = metadata_of(context)
        enter(RequestId(metadata))
        if self.draining:
            raise _stops()
        peer = self._entrance.peer(context)
        if method.room is not None:
            method.room(Call(peer, math.inf, metadata))
        seat, gone = self._book.open(peer, time.monotonic())
        if gone is not None:
            self._open[gone].end(status_of(_MAKE_WAY))
        stream = self._open[seat] = _Stream(self, method, context, seat)
        self._look_later()
        try:
            await stream.run()
        finally:
            self._book.close(seat)
            del self._open[seat]

    def began(self, seat: StreamSeat) -> None:
        """A message is here. Raises ShuttingDown."""
        self._book.began(seat, time.monotonic())
        if self.draining:
            raise _stops()

    def ended(self, seat: StreamSeat) -> None:
        """A message is answered."""
        self._book.ended(seat, time.monotonic())
        if self.draining and not seat.in_flight:
            self._open[seat].end(status_of(_stops()))

    def see_off(self, farewell: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that tells a client why its stream ends; it may outlast the stream."""
        task = asyncio.create_task(farewell)
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)
        return task

    @property
    def entrance(self) -> Entrance:
        """What every message goes through."""
        return self._entrance

    @property
    def limits(self) -> StreamLimits:
        """Of each stream, and of all."""
        return self._book.limits

    def _look_later(self) -> None:
        if self._looks is not None:
            return
        due = self._book.next_look()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._looks = loop.call_later(max(0.05, due - time.monotonic()), self._look)

    def _look(self) -> None:
        self._looks = None
        idle_s = self.limits.idle_s
        for seat in self._book.outstayed(time.monotonic()):
            self._book.close(seat)
            error = DeadlineExceeded(
                f"no message within {idle_s:g} s", hint="Open a stream again with the next one."
            )
            self._open[seat].end(status_of(error))
        self._look_later()


def _stops() -> ShuttingDown:
    return ShuttingDown("the server stops", hint="Ask another one, or retry later.")


class _Stream:
    """One of them: reads while there is room, answers at once, and writes in order."""

    def __init__(
        self, streams: Streams, method: StreamMethod, context: Context, seat: StreamSeat
    ) -> None:
        self._streams = streams
        self._method = method
        self._context = context
        self._seat = seat
        self._peer: Peer = seat.peer
        self._room = asyncio.Semaphore(streams.limits.in_flight)
        self._answers: asyncio.Queue[asyncio.Task[Message | Status] | None] = asyncio.Queue()
        self._ending: asyncio.Task[None] | None = None
        self.stuck = False
        self._metadata = metadata_of(context)
        self._strict = self._metadata.get(ENDS_WITH_AN_ERROR) == "true"

    async def run(self) -> None:
        """Until the client has sent all and has all replies, or the stream is ended."""
        writer = asyncio.create_task(self._write())
        try:
            while (raw := await self._read()) is not grpc.aio.EOF and not self.stuck:
                self._answers.put_nowait(asyncio.create_task(self._answer(raw)))
                del raw
            self._answers.put_nowait(None)
            await writer
        finally:
            writer.cancel()
            self._drop()

    def _drop(self) -> None:
        """Answer no more."""
        while not self._answers.empty():
            left = self._answers.get_nowait()
            if left is not None:
                left.cancel()

    async def _read(self) -> Any:
        """The next message, when there is room for it."""
        await self._room.acquire()
        return await self._context.read()

    async def _answer(self, raw: bytes) -> Message | Status:
        """A reply, or the status of an error where the stream is to end with it."""
        entrance, request = self._streams.entrance, None
        try:
            self._streams.began(self._seat)
            most = time.monotonic() + entrance.deadline_s
            with entrance.hold(self._peer, raw) as held:
                plain = await held.inflated(raw)
                request = parse(self._method.request, plain, self._method.check)
                del raw, plain
                call = Call(self._peer, most, self._metadata)
                answer = self._method.answer(request, call)
                return await in_time(answer, most, entrance.deadline_s)
        except Exception as error:
            status = told(error)
            return status if self._strict else self._method.refuse(request, status)

    async def _write(self) -> None:
        """Send replies in order, and end the stream with an error where that is asked for."""
        while (answer := await self._answers.get()) is not None:
            try:
                reply = await answer
                if isinstance(reply, Status):
                    return self.end(reply)
                await self._send(reply.SerializeToString())
            finally:
                answer.cancel()
            if self.stuck:
                return None
            self._room.release()
            self._streams.ended(self._seat)
        return None

    async def _send(self, reply: bytes) -> None:
        """Give a reply to the client; where it takes none in time, answer it no more.

        gRPC can neither take back what it is to write nor cut the call off. So the stream keeps its
        place until the client reads after all, and is told why it ends, or goes.
        """
        writing = asyncio.ensure_future(self._context.write(reply))
        try:
            write_s = self._streams.limits.write_s
            done, _ = await asyncio.wait((writing,), timeout=write_s)
            if not done:
                self.stuck = True
                self._drop()
            await writing
            if self.stuck:
                self.end(status_of(DeadlineExceeded(f"a reply was not taken within {write_s:g} s")))
        finally:
            writing.cancel()

    def end(self, status: Status) -> None:
        """End it from outside; whoever reads is told by gRPC."""
        if self._ending is None:
            self._ending = self._streams.see_off(self._abort(status))

    async def _abort(self, status: Status) -> None:
        with contextlib.suppress(grpc.aio.BaseError):
            await self._context.abort(status.code, status.details, status.trailing)
        self._room.release()  # who waits for room, too, reads now, and is told
