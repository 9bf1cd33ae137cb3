"""Clients that hold, flood, lie and garble: bounded, told so, and nobody else's loss."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkvision.images import ImageLimits
from hawkvision.oip import open_inference_pb2 as messages
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve, Served
from tests.dc_gateway.http2 import (
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INFER,
    PING,
    SETTINGS,
    Http2,
    call_headers,
    frame,
)
from tests.models import coloured_jpeg

Code = grpc.StatusCode
OWN = (("grpc.use_local_subchannel_pool", 1),)


@asynccontextmanager
async def client(served: Served) -> AsyncIterator[Any]:
    """A channel with a connection of its own."""
    async with grpc.aio.insecure_channel(served.address, options=OWN) as channel:
        yield channel


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


@pytest.mark.parametrize("connections", [1, 20])
async def test_calls_that_never_send_their_message_take_nothing_from_others(
    serve: Serve, connections: int
) -> None:
    request = infer_request(coloured_jpeg("red"))
    async with serve(max_calls=16) as served:
        await served.stub.ModelInfer(request)
        channels = [
            grpc.aio.insecure_channel(served.address, options=OWN) for _ in range(connections)
        ]
        silent: list[Any] = [
            channels[number % connections].stream_unary(INFER)() for number in range(60)
        ]
        await until(lambda: sum(call.done() for call in silent) >= 44)
        for _ in range(10):
            await served.stub.ModelInfer(request)
        ended = [(await call.code(), await call.details()) for call in silent if call.done()]
        for channel in channels:
            await channel.close()
    assert {code for code, _ in ended} == {Code.RESOURCE_EXHAUSTED}
    assert all(text.startswith("overloaded: this call's message is not here") for _, text in ended)


async def test_a_message_that_does_not_come_ends_the_call(serve: Serve) -> None:
    async with serve(receive_timeout_s=0.1) as served, client(served) as channel:
        code, text = await refused(channel.stream_unary(INFER)())
        await served.stub.ModelInfer(infer_request(coloured_jpeg("red")))
    assert (code, text.partition(":")[0]) == (Code.DEADLINE_EXCEEDED, "request_timeout")


async def test_half_a_message_ends_the_call_too(serve: Serve) -> None:
    def half(port: int) -> bytes:
        with Http2(port) as connection:
            connection.send(frame(HEADERS, END_HEADERS, 1, call_headers()))
            connection.send(frame(DATA, 0, 1, b"\x00\x00\x00\x10\x00" + bytes(1000)))
            answer = connection.wait_for(HEADERS)
        return b"" if answer is None else answer[3]

    async with serve(receive_timeout_s=0.1) as served:
        trailers = await asyncio.to_thread(half, int(served.address.rpartition(":")[2]))
    assert b"request_timeout" in trailers


async def test_a_call_without_a_message_is_an_invalid_argument(serve: Serve) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for one in list[bytes]():
            yield one

    async with serve() as served, client(served) as channel:
        code, text = await refused(channel.stream_unary(INFER)(nothing()))
    assert (code, text.partition(":")[0]) == (Code.INVALID_ARGUMENT, "invalid_request")


@pytest.mark.parametrize("timeout", [None, 1e9])
async def test_no_call_waits_longer_than_the_most_that_is_allowed(
    serve: Serve, timeout: float | None
) -> None:
    request = infer_request(coloured_jpeg("red"))
    async with serve(max_deadline_s=0.2) as served, busy_thread(served):
        code, text = await refused(served.stub.ModelInfer(request, timeout=timeout))
    assert code is Code.DEADLINE_EXCEEDED
    assert text.startswith("deadline_exceeded: ")


async def test_bytes_at_work_are_bounded_and_the_next_message_is_refused_at_once(
    serve: Serve,
) -> None:
    image = coloured_jpeg("red") + bytes(18_000)
    limits = ImageLimits(max_bytes=20_000)
    async with serve(max_buffered_bytes=200_000, limits=limits) as served:
        async with busy_thread(served), client(served) as other:
            waiting = asyncio.ensure_future(served.stub.ModelInfer(infer_request(*[image] * 4)))
            await until(lambda: served.gateway.pool.waiting == 4)
            second = infer_request(*[image] * 3).SerializeToString()
            code, text = await refused(other.unary_unary(INFER)(second))
        await waiting
    assert code is Code.RESOURCE_EXHAUSTED
    assert "bytes are at work here" in text


async def test_one_client_does_not_take_the_whole_queue(serve: Serve) -> None:
    request = infer_request(coloured_jpeg("red"))
    async with serve(max_queue=8) as served, client(served) as greedy:
        async with busy_thread(served):
            infer = greedy.unary_unary(INFER)
            calls = [infer(request.SerializeToString()) for _ in range(9)]
            await until(lambda: sum(call.done() for call in calls) == 3)
            assert served.gateway.pool.waiting == 6
            other = asyncio.ensure_future(served.stub.ModelInfer(request))
            await until(lambda: served.gateway.pool.waiting == 7)
        await other
        replies = await asyncio.gather(*calls, return_exceptions=True)
    errors = [one for one in replies if isinstance(one, grpc.aio.AioRpcError)]
    assert [one.code() for one in errors] == [Code.RESOURCE_EXHAUSTED] * 3
    assert all("of this client" in str(one.details()) for one in errors)


async def test_a_refused_image_is_forgotten_at_once(serve: Serve) -> None:
    """Not at the garbage collector's next visit, until when a flood would fill the memory."""
    request = infer_request(b"\xff\xd8" + bytes(1_000_000))
    async with serve() as served:
        assert (await refused(served.stub.ModelInfer(request)))[0] is Code.INVALID_ARGUMENT
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(12):
                await refused(served.stub.ModelInfer(request))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert held < 5_000_000


PACKED = [grpc.Compression.Gzip, grpc.Compression.Deflate]


@pytest.mark.parametrize("how", PACKED)
async def test_a_compressed_message_is_answered(serve: Serve, how: grpc.Compression) -> None:
    request = infer_request(coloured_jpeg("red"))
    async with serve() as served:
        reply = await served.stub.ModelInfer(request, compression=how)
    assert reply.outputs[0].shape == [1, 4]


@pytest.mark.parametrize("how", PACKED)
async def test_a_small_message_that_is_a_large_one_is_refused_before_it_is_one(
    serve: Serve, how: grpc.Compression
) -> None:
    bomb = infer_request(bytes(8_000_000))
    async with serve(max_message_bytes=100_000) as served:
        tracemalloc.start()
        try:
            packed = zlib.compress(bomb.SerializeToString())
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            async with client(served) as channel:
                code, text = await refused(channel.unary_unary(INFER)(packed))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        also, _ = await refused(served.stub.ModelInfer(bomb, compression=how))
        held = served.gateway.door.entrance.held_bytes.held
        await served.stub.ModelInfer(infer_request(coloured_jpeg("red")))
    assert (code, text.partition(":")[0]) == (Code.INVALID_ARGUMENT, "payload_too_large")
    assert also is Code.INVALID_ARGUMENT
    assert peak - before < 2_000_000
    assert held == 0


async def test_what_a_message_inflates_to_counts_as_what_is_held(serve: Serve) -> None:
    request = infer_request(bytes(300_000))
    async with serve(max_buffered_bytes=1024, max_message_bytes=400_000) as served:
        code, text = await refused(
            served.stub.ModelInfer(request, compression=grpc.Compression.Gzip)
        )
    assert (code, text.partition(":")[0]) == (Code.RESOURCE_EXHAUSTED, "overloaded")


@pytest.mark.parametrize("raw", [b"\x1f\x8b" + bytes(30), zlib.compress(bytes(1000))[:-6]])
async def test_what_does_not_inflate_is_an_invalid_argument(serve: Serve, raw: bytes) -> None:
    async with serve() as served, client(served) as channel:
        code, text = await refused(channel.unary_unary(INFER)(raw))
    assert code is Code.INVALID_ARGUMENT
    assert "does not inflate" in text


METHODS = (
    "inference.GRPCInferenceService/ServerLive",
    "inference.GRPCInferenceService/ServerReady",
    "inference.GRPCInferenceService/ServerMetadata",
    "inference.GRPCInferenceService/ModelReady",
    "inference.GRPCInferenceService/ModelMetadata",
    "inference.GRPCInferenceService/ModelInfer",
    "inference.GRPCInferenceService/ModelConfig",
    "inference.GRPCInferenceService/ModelStatistics",
    "inference.GRPCInferenceService/RepositoryIndex",
    "inference.GRPCInferenceService/RepositoryModelLoad",
    "inference.GRPCInferenceService/RepositoryModelUnload",
    "grpc.health.v1.Health/Check",
)
GARBAGE = {
    "a varint without end": b"\xff" * 20,
    "a cut field": b"\x0a\x7f",
    "half a group": b"\x0b",
    "a name that is not UTF-8": b"\x0a\x02\xff\xfe",
    "a name of a megabyte": b"\x0a\xc0\x84\x3d" + b"x" * 1_000_000,
    "a million empty fields": b"\x2a\x00" * 1_000_000,
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_an_invalid_argument_with_every_method(serve: Serve, garbage: str) -> None:
    harmless = garbage == "a name that is not UTF-8"  # to a method without names
    async with serve() as served, client(served) as channel:
        for method in METHODS[3:] if harmless else METHODS:
            code, text = await refused(channel.unary_unary(f"/{method}")(GARBAGE[garbage]))
            assert code is Code.INVALID_ARGUMENT, (method, code, text)
            assert text.partition(":")[0] in ("invalid_request", "payload_too_large")
            assert "Error" not in text


@pytest.mark.parametrize(
    "path", ["/inference.GRPCInferenceService/Other", "/other.Service/ModelInfer", "/", "/a"]
)
async def test_a_method_that_is_not_there_is_unimplemented(serve: Serve, path: str) -> None:
    async with serve() as served, client(served) as channel:
        assert (await refused(channel.unary_unary(path)(b"")))[0] is Code.UNIMPLEMENTED


names = st.one_of(st.just("image"), st.text(max_size=8))
integers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def requests(draw: st.DrawFn) -> messages.ModelInferRequest:
    """Requests near the good ones: some part is missing, twice there, of another type or size."""
    made = messages.ModelInferRequest(
        model_name=draw(st.sampled_from(["tiny", "", "\u0000", "x" * 5000])),
        model_version=draw(st.sampled_from(["", "1", "2", "-1", "9" * 400])),
        id=draw(st.text(max_size=20)),
    )
    for _ in range(draw(st.integers(0, 2))):
        tensor = made.inputs.add(
            name=draw(names),
            datatype=draw(st.sampled_from(["BYTES", "FP32", "", "bytes"])),
            shape=draw(st.lists(st.one_of(st.integers(-1, 2), integers), max_size=3)),
        )
        contents = tensor.contents
        contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=20), max_size=2)))
        contents.int64_contents.extend(draw(st.lists(integers, max_size=3)))
        contents.fp64_contents.extend(draw(st.lists(st.floats(), max_size=3)))
        for key in draw(st.lists(st.text(max_size=3), max_size=2)):
            tensor.parameters[key].int64_param = draw(integers)
    for name in draw(st.lists(names, max_size=2)):
        made.outputs.add(name=name).parameters[name].double_param = draw(st.floats())
    made.raw_input_contents.extend(draw(st.lists(st.binary(max_size=40), max_size=2)))
    made.parameters[draw(st.text(max_size=3))].bool_param = True
    return made


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(requests().map(lambda one: one.SerializeToString()), st.binary()),
        min_size=20,
        max_size=20,
    )
)
async def test_nothing_that_a_client_sends_is_the_gateway_s_fault(
    serve: Serve, raws: list[bytes]
) -> None:
    async with serve() as served, client(served) as channel:
        infer = channel.unary_unary(INFER)
        replies = await asyncio.gather(*(infer(raw) for raw in raws), return_exceptions=True)
    codes = {one.code() for one in replies if isinstance(one, grpc.aio.AioRpcError)}
    assert codes <= {Code.INVALID_ARGUMENT, Code.NOT_FOUND}


async def test_pings_without_calls_are_welcome(serve: Serve) -> None:
    def ping(port: int) -> list[int]:
        kinds = []
        with Http2(port) as connection:
            for number in range(8):
                time.sleep(0.1)
                connection.send(frame(PING, payload=bytes([number]) * 8))
                answer = connection.wait_for(PING, GOAWAY)
                kinds.append(-1 if answer is None else answer[0])
        return kinds

    async with serve(min_ping_interval_s=0.05) as served:
        kinds = await asyncio.to_thread(ping, int(served.address.rpartition(":")[2]))
    assert kinds == [PING] * 8


async def test_connections_and_what_one_may_send_unasked_are_bounded(serve: Serve) -> None:
    def connect(port: int) -> tuple[bytes | None, bytes | None]:
        with Http2(port) as first, Http2(port) as second:
            one, two = first.wait_for(SETTINGS), second.wait_for(SETTINGS)
        return (one and one[3], two and two[3])

    async with serve(max_connections=2, max_calls_per_connection=7) as served:
        await served.stub.ServerLive(messages.ServerLiveRequest())
        port = int(served.address.rpartition(":")[2])
        said, beyond = await asyncio.to_thread(connect, port)
        await served.stub.ServerLive(messages.ServerLiveRequest())
    assert said is not None
    assert beyond is None
    values = {
        said[at : at + 2]: int.from_bytes(said[at + 2 : at + 6], "big")
        for at in range(0, len(said), 6)
    }
    assert values[b"\x00\x03"] == 7  # SETTINGS_MAX_CONCURRENT_STREAMS
    assert values[b"\x00\x04"] <= 256 * 1024  # SETTINGS_INITIAL_WINDOW_SIZE
