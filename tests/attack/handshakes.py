"""TLS itself, at all doors: handshakes that stall, are none, are storms, or come from strangers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

from tests.attack.attack import Attack, Pace, Tally, Target, crew
from tests.attack.connections import SILENT
from tests.attack.wire import SETTINGS, call_frames, connection, frame, opening

_HOLD_S = 60.0
_NOW = struct.pack("ii", 1, 0)


def _doors(target: Target) -> Iterator[int]:
    return itertools.cycle((target.http, target.grpc, target.rest, target.edge_grpc))


def hello(context: ssl.SSLContext) -> bytes:
    """The first flight of a handshake, whole and right."""
    outgoing = ssl.MemoryBIO()
    half = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    return outgoing.read()


def _hello(target: Target) -> bytes:
    return hello(ssl.create_default_context() if target.access is None else target.access.context())


async def _until_closed(reader: asyncio.StreamReader, tally: Tally) -> None:
    while await reader.read(65_536):
        pass
    tally.add("closed")


async def _silent(target: Target, tally: Tally) -> None:
    async def once() -> None:
        async with connection(target, raw=True) as (reader, _):
            tally.add("opened")
            await _until_closed(reader, tally)

    await crew(SILENT, once, tally, Pace(600), patience_s=_HOLD_S)


async def _half(target: Target, tally: Tally) -> None:
    """A whole ClientHello that gets its answer, or half of one; then nothing."""
    said, doors, wholes = _hello(target), _doors(target), itertools.count()

    async def once() -> None:
        async with connection(target, next(doors), raw=True) as (reader, writer):
            writer.write(said if next(wholes) % 8 < 4 else said[: len(said) // 2])
            tally.add("opened")
            await _until_closed(reader, tally)

    await crew(300, once, tally, Pace(100), patience_s=_HOLD_S)


async def _slow(target: Target, tally: Tally) -> None:
    said, doors = _hello(target), _doors(target)

    async def once() -> None:
        async with connection(target, next(doors), raw=True) as (reader, writer):
            tally.add("opened")
            closing = asyncio.create_task(_until_closed(reader, tally))
            try:
                for byte in said:
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.25)
                    if closing.done():
                        return
            finally:
                closing.cancel()

    await crew(200, once, tally, Pace(100), patience_s=_HOLD_S)


async def _garbage(target: Target, tally: Tally) -> None:
    noise, good = random.Random(37), _hello(target)
    said: tuple[Callable[[], bytes], ...] = (
        lambda: noise.randbytes(600),
        lambda: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        lambda: opening(),
        lambda: good[:50] + noise.randbytes(len(good) - 50),
        lambda: b"\x16\x03\x01\xff\xff" + noise.randbytes(4000),
        lambda: b"\x15\x03\x03\x00\x02\x02\x28" * 50,
        lambda: good + b"\x17\x03\x03\x40\x00" + noise.randbytes(16_384),
        lambda: b"\x16\x03\x01\x00\x00" * 1000,
        lambda: b"\x80\x2e\x01\x00\x02" + noise.randbytes(40),
    )
    turns, doors = itertools.cycle(said), _doors(target)

    async def once() -> None:
        async with connection(target, next(doors), raw=True) as (reader, writer):
            writer.write(next(turns)())
            tally.add("sent")
            async with asyncio.timeout(1):
                await _until_closed(reader, tally)

    await crew(32, once, tally, Pace(80))


async def _storm(target: Target, tally: Tally) -> None:
    """Whole handshakes, each closed at once: by TLS, by TCP, or by a reset."""
    doors, ways = _doors(target), itertools.cycle(range(3))

    async def once() -> None:
        async with connection(target, next(doors)) as (_, writer):
            tally.add("handshakes")
            way = next(ways)
            if way == 0:
                writer.close()
            elif way == 1:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)

    await crew(16, once, tally, Pace(100))


async def _renewals(target: Target, tally: Tally) -> None:
    """What restarts a session inside it: renegotiations of TLS 1.2, new keys of TLS 1.3."""
    both = itertools.cycle((("-tls1_2", b"R\n"), ("-tls1_3", b"K\n")))
    doors = _doors(target)

    async def once() -> None:
        version, ask = next(both)
        words = ["s_client", "-connect", f"{target.host}:{next(doors)}", "-bind"]
        words += [f"{target.source}:0", version]
        if target.access is not None:
            words += ["-cert", target.access.insider[0], "-key", target.access.insider[1]]
        child = await asyncio.create_subprocess_exec(
            "openssl",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert child.stdin is not None
        try:
            for _ in range(200):
                child.stdin.write(ask)
                await child.stdin.drain()
                tally.add("renewals asked for")
                await asyncio.sleep(0.01)
                if child.returncode is not None:
                    return
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    await crew(4, once, tally, Pace(4), patience_s=20)


async def _strangers(target: Target, tally: Tally) -> None:
    """Clients without a certificate, and with one of another authority: no call may be heard."""
    assert target.access is not None
    access = target.access
    turns = itertools.cycle(
        (access.context(shown, protocol), port)
        for shown in ("none", "foreign")
        for protocol, port in (("h2", target.grpc), ("http/1.1", target.rest))
    )

    async def once() -> None:
        context, port = next(turns)
        reader, writer = await asyncio.open_connection(
            target.host, port, ssl=context, local_addr=(target.source, 0)
        )
        try:
            if port == target.grpc:
                writer.write(opening() + frame(SETTINGS, 0, 0) + call_frames(target, 1))
            else:
                writer.write(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
            said = await reader.read(65_536)
            tally.add("a stranger was heard without a certificate" if said else "closed")
        finally:
            writer.transport.abort()

    await crew(8, once, tally, Pace(60))


ATTACKS = (
    Attack("tls-silent", "TLS", f"{SILENT:,} connections, no handshake", _silent, secure=True),
    Attack("tls-half", "TLS", "300 handshakes that stop, at all doors", _half, secure=True),
    Attack("tls-slow", "TLS", "200 handshakes, 4 bytes a second, all doors", _slow, secure=True),
    Attack("tls-garbage", "TLS", "80 handshakes/s that are none, all doors", _garbage, secure=True),
    Attack("tls-storm", "TLS", "100 handshakes/s, each closed at once", _storm, secure=True),
    Attack(
        "tls-renewals", "TLS", "renegotiation, new keys, again and again", _renewals, secure=True
    ),
    Attack(
        "tls-strangers", "TLS", "no certificate, or another authority's", _strangers, secure=True
    ),
)
