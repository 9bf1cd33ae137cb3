"""Raw sockets for attackers: HTTP/1.1 and HTTP/2 written by hand, so that rules can be broken."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.attack.attack import Tally, Target

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(
    target: Target, port: int | None = None, *, source: str | None = None, raw: bool = False
) -> AsyncIterator[Connection]:
    """A connection to the agent, or to `port`; dropped at the end without a goodbye.

    Under TLS where the target is, unless it is `raw`; then an insider's certificate is shown.
    """
    at = target.http if port is None else port
    tls: dict[str, Any] = {}
    if target.access is not None and not raw:
        protocol = "h2" if at in (target.grpc, target.edge_grpc) else "http/1.1"
        tls = {"ssl": target.access.context("insider", protocol), "server_hostname": target.host}
    reader, writer = await asyncio.open_connection(
        target.host, at, local_addr=(source or target.source, 0), **tls
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def lines(headers: Mapping[str, str]) -> bytes:
    """Headers as HTTP/1.1 writes them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


def request(
    method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """A whole HTTP/1.1 request; a Content-Length comes with it unless `headers` bring one."""
    head = [f"{method} {path} HTTP/1.1", "Host: attacked", *(f"{k}: {v}" for k, v in headers)]
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


async def read_reply(reader: asyncio.StreamReader, tally: Tally) -> int:
    """Read one reply whole and count its status. Raises EOFError where none comes."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    length = next(
        (
            int(line[15:])
            for line in head.split("\r\n")
            if line.lower().startswith("content-length")
        ),
        0,
    )
    await reader.readexactly(length)
    tally.add(str(status))
    if status == 503 and "retry-after:" not in head.lower():
        tally.add("503 without Retry-After")
    return status


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def opening() -> bytes:
    """What an HTTP/2 client says first: preface and empty settings."""
    return PREFACE + frame(SETTINGS, 0, 0)


def field_line(name: str, value: str) -> bytes:
    """A header, literal and never indexed, without Huffman (RFC 7541, section 6.2.2)."""
    return b"\x00" + _text(name.encode()) + _text(value.encode())


def _text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest, coded = len(text) - 127, bytearray((127,))
    while rest >= 128:
        coded.append(rest % 128 | 128)
        rest //= 128
    return bytes((*coded, rest)) + text


def call_headers(target: Target, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """The header block of a ModelInfer call."""
    fields = (
        (":method", "POST"),
        (":scheme", "http" if target.access is None else "https"),
        (":path", "/inference.GRPCInferenceService/ModelInfer"),
        (":authority", target.gateway),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *((name.lower(), value) for name, value in target.shown().items()),
        *extra,
    )
    return b"".join(field_line(name, value) for name, value in fields)


def call_frames(target: Target, stream: int, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """HEADERS, and CONTINUATION where they are longer than a frame, that leave the call open."""
    block = call_headers(target, extra)
    pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
    kinds = [HEADERS] + [CONTINUATION] * (len(pieces) - 1)
    return b"".join(
        frame(kind, END_HEADERS if at == len(pieces) - 1 else 0, stream, piece)
        for at, (kind, piece) in enumerate(zip(kinds, pieces, strict=True))
    )


def message(body: bytes) -> bytes:
    """A gRPC message, not compressed, with its length before it."""
    return b"\x00" + struct.pack(">I", len(body)) + body
