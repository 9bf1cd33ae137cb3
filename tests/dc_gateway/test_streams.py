"""`ModelStreamInfer`: a reply to each request, errors among them, and bounds on all of it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from hawkvision.oip import open_inference_pb2 as messages
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve, Served
from tests.dc_gateway.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    WINDOW_UPDATE,
    Http2,
    call_headers,
    frame,
)
from tests.models import coloured_jpeg

Code = grpc.StatusCode
METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
RED = coloured_jpeg("red")


def request(image: bytes = RED, id: str = "", model: str = "tiny") -> messages.ModelInferRequest:
    found = infer_request(image, model=model)
    found.id = id
    return found


async def replies(
    served: Served, asked: Iterable[messages.ModelInferRequest], **options: Any
) -> list[messages.ModelStreamInferResponse]:
    async with asyncio.timeout(30):
        return [one async for one in served.stub.ModelStreamInfer(iter(asked), **options)]


async def end_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a stream ends that is read to its end."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(30):
            while await call.read() is not grpc.aio.EOF:
                pass
    return caught.value.code(), str(caught.value.details())


@asynccontextmanager
async def opened(served: Served) -> AsyncIterator[Any]:
    """A stream that has had one reply and is silent."""
    call = served.stub.ModelStreamInfer()
    await call.write(request())
    await call.read()
    try:
        yield call
    finally:
        call.cancel()


async def test_every_request_has_its_reply_in_order(serve: Serve) -> None:
    async with serve() as served:
        found = await replies(served, [request(id=str(number)) for number in range(20)])
    assert [one.infer_response.id for one in found] == [str(number) for number in range(20)]
    assert all(not one.error_message for one in found)
    assert all(one.infer_response.parameters["triton_final_response"].bool_param for one in found)


async def test_an_error_is_the_reply_to_its_request_and_ends_nothing(serve: Serve) -> None:
    asked = [request(id="a"), request(b"nothing", id="b"), request(id="c", model="none")]
    async with serve() as served:
        found = await replies(served, [*asked, request(id="d")])
    assert [one.infer_response.id for one in found] == ["a", "b", "c", "d"]
    texts = [one.error_message.partition(":")[0] for one in found]
    assert texts == ["", "unsupported_image", "unknown_task", ""]


async def test_who_asks_for_it_has_a_stream_that_ends_with_the_first_error(serve: Serve) -> None:
    strict = (("triton_grpc_error", "true"),)
    async with serve() as served:
        asked = iter([request(), request(model="none"), request()])
        code, text = await end_of(served.stub.ModelStreamInfer(asked, metadata=strict))
    assert (code, text.partition(":")[0]) == (Code.NOT_FOUND, "unknown_task")


async def test_what_is_no_message_is_an_error_among_the_replies(serve: Serve) -> None:
    good = request().SerializeToString()
    async with serve() as served, grpc.aio.insecure_channel(served.address) as channel:
        method: Any = channel.stream_stream(METHOD)
        call = method(iter([good, b"\xff" * 20, good]))
        found = [messages.ModelStreamInferResponse.FromString(one) async for one in call]
    assert [one.error_message.partition(":")[0] for one in found] == ["", "invalid_request", ""]


async def test_a_compressed_stream_is_answered(serve: Serve) -> None:
    async with serve() as served:
        found = await replies(served, [request()] * 3, compression=grpc.Compression.Gzip)
    assert [one.error_message for one in found] == [""] * 3


async def test_so_many_messages_of_a_stream_are_at_work_and_no_more(serve: Serve) -> None:
    async with serve(max_stream_messages=3) as served:
        async with busy_thread(served):
            call = served.stub.ModelStreamInfer(iter([request()] * 20))
            await until(lambda: served.gateway.pool.waiting == 3)
            await served.stub.ServerLive(messages.ServerLiveRequest())
            assert served.gateway.pool.waiting == 3
        found = [one async for one in call]
    assert len(found) == 20


async def test_a_client_that_goes_takes_its_work_along(serve: Serve) -> None:
    async with serve() as served, busy_thread(served):
        call = served.stub.ModelStreamInfer(iter([request()] * 4))
        await until(lambda: served.gateway.pool.waiting == 4)
        call.cancel()
        await until(lambda: len(served.gateway.door.streams) == 0)
        await until(lambda: served.gateway.door.entrance.held_bytes.held == 0)


async def test_more_streams_than_there_may_be_are_refused(serve: Serve) -> None:
    async with serve(max_streams=1, max_client_share=1.0) as served:
        async with opened(served):
            code, text = await end_of(served.stub.ModelStreamInfer(iter([request()])))
        await until(lambda: len(served.gateway.door.streams) == 0)
        again = await replies(served, [request()])
    assert (code, text.partition(":")[0]) == (Code.RESOURCE_EXHAUSTED, "limit_reached")
    assert len(again) == 1


async def test_a_stream_that_says_nothing_ends(serve: Serve) -> None:
    async with serve(stream_idle_s=0.05) as served, opened(served) as call:
        code, text = await end_of(call)
    assert (code, text) == (
        Code.DEADLINE_EXCEEDED,
        "deadline_exceeded: no message within 0.05 s. Open a stream again with the next one.",
    )


async def test_a_drain_answers_what_is_at_work_and_ends_the_streams(serve: Serve) -> None:
    async with serve(drain_grace_s=60.0) as served, opened(served) as silent:
        async with busy_thread(served):
            call = served.stub.ModelStreamInfer()
            await call.write(request(id="last"))
            await until(lambda: served.gateway.pool.waiting == 1)
            drain = asyncio.create_task(served.gateway.drain())
            silent_end = await end_of(silent)
        last = await call.read()
        end = await end_of(call)
        await drain
    assert last.infer_response.id == "last"
    assert silent_end[0] is end[0] is Code.UNAVAILABLE


async def test_who_does_not_read_is_answered_no_more_and_told_why(serve: Serve) -> None:
    def slow(port: int, answered: asyncio.Event, loop: asyncio.AbstractEventLoop) -> bytes:
        text = request(model="none", id="x" * 200, image=b"").SerializeToString()
        message = b"\0" + struct.pack(">I", len(text)) + text
        with Http2(port) as connection:
            connection.send(frame(SETTINGS, payload=struct.pack(">HI", 4, 0)))  # no window at all
            connection.send(frame(HEADERS, END_HEADERS, 1, call_headers(METHOD)))
            for _ in range(25):
                connection.send(frame(DATA, 0, 1, message * 10))
            asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(60)
            connection.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1 << 20)))
            while (found := connection.wait_for(HEADERS)) is not None:
                if found[1] & END_STREAM:
                    return found[3]
        return b""

    async with serve(receive_timeout_s=0.1) as served:
        streams, stuck = served.gateway.door.streams, asyncio.Event()
        port = int(served.address.rpartition(":")[2])
        client = asyncio.create_task(
            asyncio.to_thread(slow, port, stuck, asyncio.get_running_loop())
        )
        await until(lambda: streams.stuck == 1)
        stuck.set()
        trailers = await client
        await until(lambda: len(streams) == 0)
    assert b"a reply was not taken within 0.1 s" in trailers
