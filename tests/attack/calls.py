"""The gateway's door: gRPC by its own client where rules are kept, HTTP/2 by hand where not."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.inference import build_request
from tests.attack.attack import Attack, Pace, Run, Tally, Target, crew
from tests.attack.channel import channel_to, metadata
from tests.attack.parameters import picture
from tests.attack.wire import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    call_frames,
    connection,
    frame,
    message,
    opening,
)

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_CANCEL = (8).to_bytes(4, "big")
_HOLD_S = 60.0


async def _read_to_end(reader: asyncio.StreamReader, tally: Tally) -> None:
    while await reader.read(65_536):
        pass
    tally.add("closed")


async def _unfinished(target: Target, tally: Tally) -> None:
    """Calls that are opened and never send their message."""

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(opening() + frame(SETTINGS, ACK, 0))
            for stream in range(1, 201, 2):
                writer.write(call_frames(target, stream))
                tally.add("calls opened")
            await writer.drain()
            await _read_to_end(reader, tally)

    await crew(20, once, tally, Pace(10), patience_s=_HOLD_S)


async def _silent(target: Target, tally: Tally) -> None:
    async def once() -> None:
        async with connection(target, target.grpc) as (reader, _):
            tally.add("opened")
            await _read_to_end(reader, tally)

    await crew(1500, once, tally, Pace(600), patience_s=_HOLD_S)


async def _large(target: Target, tally: Tally) -> None:
    """Half of them as large as is taken, half larger."""
    requests = itertools.cycle(
        build_request("roadsigns", "", "large", bytes(size)) for size in (20_900_000, 38_000_000)
    )
    options = (("grpc.max_send_message_length", -1),)
    async with channel_to(target, options) as channel:
        stub = services.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]

        async def once() -> None:
            tally.add("sent")
            await stub.ModelInfer(next(requests), timeout=20, metadata=metadata(target))
            tally.add("grpc OK")

        await crew(8, once, tally, Pace(8), patience_s=21)


async def _large_and_stuck(target: Target, tally: Tally) -> None:
    """21 MB are announced; as much comes as flow control lets in, but for the end."""
    head = b"\x00" + (20_900_000).to_bytes(4, "big")
    piece = frame(DATA, 0, 1, bytes(16_000))

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(opening() + frame(SETTINGS, ACK, 0))
            writer.write(call_frames(target, 1) + frame(DATA, 0, 1, head))
            tally.add("opened")
            for _ in range(4):
                writer.write(piece)
            await writer.drain()
            await _read_to_end(reader, tally)

    await crew(200, once, tally, Pace(100), patience_s=_HOLD_S)


async def _garbage(target: Target, tally: Tally) -> None:
    noise = random.Random(11)
    good = build_request("roadsigns", "", "x", picture()).SerializeToString()
    bodies: tuple[Callable[[], bytes], ...] = (
        lambda: noise.randbytes(300),
        lambda: good[: noise.randrange(1, len(good))],
        lambda: b"",
        lambda: b"\x0a\xff\xff\xff\xff\x0f",
        lambda: b"\x2a" * 10_000,
        lambda: build_request("roadsigns", "99", "x", b"").SerializeToString(),
        lambda: build_request("x" * 100_000, "", "x" * 100_000, b"?").SerializeToString(),
    )
    turns = itertools.cycle(bodies)
    async with channel_to(target) as channel:
        ask: Any = channel.unary_unary(_METHOD)
        nowhere: Any = channel.unary_unary("/no.Such/Method")

        async def once() -> None:
            call = nowhere if noise.random() < 0.1 else ask
            await call(next(turns)(), timeout=5, metadata=metadata(target))
            tally.add("grpc OK")

        await crew(8, once, tally, Pace(80))


async def _bad_frames(target: Target, tally: Tally) -> None:
    noise = random.Random(13)
    said: tuple[Callable[[], bytes], ...] = (
        lambda: noise.randbytes(1000),
        lambda: opening() + noise.randbytes(1000),
        lambda: opening() + frame(0xEE, 0xFF, 3, noise.randbytes(100)),
        lambda: opening() + frame(HEADERS, END_HEADERS, 1, noise.randbytes(200)),
        lambda: opening() + frame(HEADERS, END_HEADERS, 2, b"\x82"),
        lambda: opening() + frame(SETTINGS, 0, 0, noise.randbytes(7)),
        lambda: opening() + b"\xff\xff\xff" + noise.randbytes(100),
        lambda: opening() + call_frames(target, 1) + frame(DATA, END_STREAM, 1, b"\x05\xff"),
        lambda: (
            opening()
            + call_frames(target, 1)
            + frame(DATA, END_STREAM, 1, message(noise.randbytes(50)))
        ),
    )
    turns = itertools.cycle(said)

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(next(turns)())
            await writer.drain()
            tally.add("sent")
            async with asyncio.timeout(1):
                await _read_to_end(reader, tally)

    await crew(8, once, tally, Pace(50))


async def _resets(target: Target, tally: Tally) -> None:
    """Calls that are cancelled in the packet that opens them (CVE-2023-44487)."""

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(opening() + frame(SETTINGS, ACK, 0))
            reading = asyncio.create_task(_read_to_end(reader, tally))
            try:
                for first in itertools.count(1, 100):
                    for stream in range(first, first + 100, 2):
                        writer.write(call_frames(target, stream))
                        writer.write(frame(RST_STREAM, 0, stream, _CANCEL))
                    tally.add("reset", 50)
                    await writer.drain()
                    if reading.done():
                        return
                    await pace.turn()
            finally:
                reading.cancel()

    pace = Pace(20)
    await crew(4, once, tally, Pace(20), patience_s=_HOLD_S)


async def _pings(target: Target, tally: Tally) -> None:
    ping = frame(PING, 0, 0, bytes(8)) * 50
    settings = frame(SETTINGS, 0, 0) * 50

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(opening() + frame(SETTINGS, ACK, 0))
            reading = asyncio.create_task(_read_to_end(reader, tally))
            try:
                while not reading.done():
                    writer.write(ping + settings)
                    tally.add("pings", 50)
                    await writer.drain()
                    await pace.turn()
            finally:
                reading.cancel()

    pace = Pace(20)
    await crew(4, once, tally, Pace(20), patience_s=_HOLD_S)


async def _metadata(target: Target, tally: Tally) -> None:
    """Headers of a megabyte, in one call, and headers that never end."""
    large = [(f"x-{number}", "y" * 8000) for number in range(130)]
    turns = itertools.cycle((True, False))

    async def once() -> None:
        async with connection(target, target.grpc) as (reader, writer):
            writer.write(opening() + frame(SETTINGS, ACK, 0))
            if next(turns):
                writer.write(call_frames(target, 1, large))
            else:
                writer.write(frame(HEADERS, 0, 1, bytes(16_000)))
            await writer.drain()
            tally.add("sent")
            async with asyncio.timeout(3):
                await _read_to_end(reader, tally)

    await crew(8, once, tally, Pace(10))


def _at_edge(run: Run) -> Run:
    """The same attack on the agent's port for gRPC."""

    async def attack(target: Target, tally: Tally) -> None:
        await run(target.at_edge, tally)

    return attack


ATTACKS = (
    Attack("grpc-silent", "gRPC", "1,500 connections that say nothing", _silent),
    Attack("grpc-unfinished", "gRPC", "2,000 calls that never send a message", _unfinished),
    Attack("grpc-large", "gRPC", "messages of 21 and 38 MB, eight at a time", _large),
    Attack("grpc-stuck", "gRPC", "200 messages of 21 MB that stop half-way", _large_and_stuck),
    Attack("grpc-garbage", "gRPC", "80 calls/s: no protobuf, cut off, huge names", _garbage),
    Attack("grpc-frames", "gRPC", "HTTP/2 that is none, or breaks its rules", _bad_frames),
    Attack("grpc-resets", "gRPC", "1,000 calls/s, each reset at once", _resets),
    Attack("grpc-pings", "gRPC", "1,000 pings and 1,000 settings a second", _pings),
    Attack("grpc-metadata", "gRPC", "headers of 1 MB, headers without an end", _metadata),
    Attack("edge-silent", "gRPC", "grpc-silent at the agent's gRPC port", _at_edge(_silent)),
    Attack("edge-calls", "gRPC", "grpc-unfinished there", _at_edge(_unfinished)),
    Attack("edge-large", "gRPC", "grpc-large there", _at_edge(_large)),
    Attack("edge-stuck", "gRPC", "grpc-stuck there", _at_edge(_large_and_stuck)),
    Attack("edge-garbage", "gRPC", "grpc-garbage there", _at_edge(_garbage)),
    Attack("edge-resets", "gRPC", "grpc-resets there", _at_edge(_resets)),
)
