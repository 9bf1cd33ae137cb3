"""Connections that say little, slowly, nothing, too much, or nonsense."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

from tests.attack.attack import Attack, Pace, Tally, Target, crew
from tests.attack.wire import connection, lines, read_reply, request

SILENT = 1500
"""More than the descriptors that the deployment is given."""

_POST = b"POST /v1/classify HTTP/1.1\r\nHost: attacked\r\n"
_HOLD_S = 60.0


async def _until_closed(reader: asyncio.StreamReader, tally: Tally) -> None:
    said = await reader.read(65_536)
    tally.add(_status_in(said) if said else "closed")


def _status_in(said: bytes) -> str:
    words = said.split(b" ", 2)
    return words[1].decode("latin-1")[:3] if said[:5] == b"HTTP/" and len(words) > 1 else "said"


async def silent(target: Target, tally: Tally) -> None:
    """Connections, whose handshake is whole under TLS, and nothing more."""

    async def once() -> None:
        async with connection(target) as (reader, _):
            tally.add("opened")
            await _until_closed(reader, tally)

    await crew(SILENT, once, tally, Pace(600), patience_s=_HOLD_S)


async def _silent_from_many(target: Target, tally: Tally) -> None:
    sources = itertools.cycle(f"127.0.1.{number}" for number in range(1, 251))

    async def once() -> None:
        async with connection(target, source=next(sources)) as (reader, _):
            tally.add("opened")
            await _until_closed(reader, tally)

    await crew(SILENT, once, tally, Pace(600), patience_s=_HOLD_S)


async def _slow_headers(target: Target, tally: Tally) -> None:
    async def once() -> None:
        async with connection(target) as (reader, writer):
            tally.add("opened")
            closing = asyncio.create_task(_until_closed(reader, tally))
            try:
                for byte in itertools.chain(
                    _POST + lines(target.shown()), itertools.cycle(b"X-Slow: 1\r\n")
                ):
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.5)
                    if closing.done():
                        return
            finally:
                closing.cancel()

    await crew(300, once, tally, Pace(200), patience_s=_HOLD_S)


async def _slow_bodies(target: Target, tally: Tally) -> None:
    async def once() -> None:
        async with connection(target) as (reader, writer):
            writer.write(_POST + lines(target.shown()) + b"Content-Length: 1000000\r\n\r\n")
            tally.add("opened")
            reply = asyncio.create_task(_until_closed(reader, tally))
            try:
                while not reply.done():
                    writer.write(b"\xff")
                    await asyncio.sleep(0.25)
            finally:
                reply.cancel()

    await crew(300, once, tally, Pace(200), patience_s=_HOLD_S)


async def _unsent_bodies(target: Target, tally: Tally) -> None:
    rest = b"Content-Length: 33554432\r\n\r\n"

    async def once() -> None:
        async with connection(target) as (reader, writer):
            writer.write(_POST + lines(target.shown()) + rest)
            tally.add("opened")
            await _until_closed(reader, tally)

    await crew(500, once, tally, Pace(200), patience_s=_HOLD_S)


async def _large_then_stuck(target: Target, tally: Tally) -> None:
    """All but the last byte: what has arrived is held while the rest is waited for."""
    most = 32 * 1024 * 1024
    rest = b"Content-Length: %d\r\n\r\n" % most
    piece = bytes(256 * 1024)

    async def once() -> None:
        async with connection(target) as (reader, writer):
            writer.write(_POST + lines(target.shown()) + rest)
            tally.add("opened")
            for _ in range(most // len(piece) - 1):
                writer.write(piece)
                await writer.drain()
            writer.write(piece[1:])
            await _until_closed(reader, tally)

    await crew(12, once, tally, Pace(2), patience_s=_HOLD_S)


async def _aborted(target: Target, tally: Tally) -> None:
    rest = b"Content-Length: 500000\r\n\r\n" + bytes(50_000)

    async def once() -> None:
        async with connection(target) as (_, writer):
            writer.write(_POST + lines(target.shown()) + rest)
            await asyncio.sleep(random.uniform(0, 0.02))
            tally.add("aborted")

    await crew(16, once, tally, Pace(100))


async def _unread(target: Target, tally: Tally) -> None:
    """Requests whose replies nobody reads, until nothing more can be written."""
    ask = request("GET", "/v1/tasks", headers=list(target.insider().items())) * 50

    async def once() -> None:
        async with connection(target) as (reader, writer):
            reader._limit = 1  # type: ignore[attr-defined]  # reading pauses after two bytes
            tally.add("opened")
            while True:
                writer.write(ask)
                tally.add("unread", 50)
                await writer.drain()
                await asyncio.sleep(0.5)

    await crew(40, once, tally, Pace(50), patience_s=_HOLD_S)


async def garbage(target: Target, tally: Tally) -> None:
    """What is no HTTP, or nearly."""
    noise = random.Random(7)
    said: tuple[Callable[[], bytes], ...] = (
        lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise.randbytes(500),
        lambda: noise.randbytes(2000),
        lambda: b"GET / HTTP/9.9\r\n\r\n",
        lambda: b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        lambda: b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        lambda: b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise.randbytes(100),
        lambda: _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        lambda: _POST + b"Content-Length: -1\r\n\r\n",
        lambda: _POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc",
        lambda: b"\x00" * 5000,
        lambda: b"\r\n" * 50_000,
    )
    turns = itertools.cycle(said)

    async def once() -> None:
        async with connection(target) as (reader, writer):
            writer.write(next(turns)())
            await _until_closed(reader, tally)

    await crew(8, once, tally, Pace(80), patience_s=10)


async def _pipelining(target: Target, tally: Tally) -> None:
    """Requests without end on one connection, none of which waits for the reply before it."""
    ask = request("GET", "/v2/health/live") * 20

    async def once() -> None:
        async with connection(target) as (reader, writer):
            while True:
                writer.write(ask)
                await writer.drain()
                for _ in range(20):
                    await read_reply(reader, tally)
                await pace.turn()

    pace = Pace(20)
    await crew(8, once, tally, Pace(50), patience_s=_HOLD_S)


async def _pipelined_flood(target: Target, tally: Tally) -> None:
    """Tens of thousands of requests written before one reply is read."""
    ask = request("GET", "/v2/health/live") * 1000

    async def once() -> None:
        async with connection(target) as (reader, writer):
            for _ in range(20):
                writer.write(ask)
                await writer.drain()
            tally.add("requests at once", 20_000)
            await read_reply(reader, tally)

    await crew(2, once, tally, Pace(0.5), patience_s=30)


ATTACKS = (
    Attack("silent", "HTTP", f"{SILENT:,} connections that say nothing", silent),
    Attack("silent-many", "HTTP", "the same from 250 addresses", _silent_from_many),
    Attack("slow-headers", "HTTP", "300 headers, a byte every half second", _slow_headers),
    Attack("slow-bodies", "HTTP", "300 bodies of 1 MB, 4 bytes a second", _slow_bodies),
    Attack("unsent", "HTTP", "500 bodies of 32 MB declared, never sent", _unsent_bodies),
    Attack("stuck", "HTTP", "12 bodies of 32 MB that lack the last byte", _large_then_stuck),
    Attack("aborted", "HTTP", "100 uploads a second, cut off after a tenth", _aborted),
    Attack("unread", "HTTP", "40 clients that never read their replies", _unread),
    Attack("garbage", "HTTP", "TLS hellos, noise, endless lines, odd framing", garbage),
    Attack("pipelining", "HTTP", "8 clients, 20 requests in every write", _pipelining),
    Attack("pipelined", "HTTP", "20,000 requests written before a reply is read", _pipelined_flood),
)
