"""Images whose headers declare little and whose insides cost much, made from nothing."""

from __future__ import annotations

import struct
import zlib
from itertools import islice

_ONES = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def frame(marker: int, width: int, height: int, components: int = 3) -> bytes:
    """A frame header without subsampling."""
    parts = b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    return segment(marker, struct.pack(">BHHB", 8, height, width, components) + parts)


def scan(components: list[int], low: int, high: int, approximation: int, data: bytes) -> bytes:
    """A scan header and its data."""
    parts = b"".join(bytes([number, 0]) for number in components)
    return (
        segment(0xDA, bytes([len(components)]) + parts + bytes([low, high, approximation])) + data
    )


def progressive_jpeg(width: int, height: int, scans: int | None = None) -> bytes:
    """A valid grey-looking JPEG with as many scans as the standard allows, or the first of them.

    Each scan goes through one component for one bit of one coefficient (T.81, G.1.1), and says in
    a few bytes that there is nothing (EOBRUN).
    """
    blocks = -(-width // 8) * -(-height // 8)
    # One-bit codes: 0 is "difference 0" of DC, and "end of 2**14 bands, and 14 bits more" of AC.
    dc = segment(0xC4, bytes([0x00, 1, *[0] * 15, 0x00]))
    ac = segment(0xC4, bytes([0x10, 1, 1, *[0] * 14, 0xE0, 0x00]))
    runs, rest = divmod(blocks, 2**14)
    bits = "".join("0" + "0" * 14 for _ in range(runs)) + "10" * rest
    nothing = _stuffed(bits)
    start = scan([1, 2, 3], 0, 0, 0, _stuffed("0" * 3 * blocks))

    def further() -> list[bytes]:
        every = (
            scan([component], band, band, (bit + 1) << 4 | bit if bit < 13 else 13, nothing)
            for component in (1, 2, 3)
            for band in range(1, 64)
            for bit in range(13, -1, -1)
        )
        return list(islice(every, None if scans is None else scans - 1))

    head = b"\xff\xd8" + _ONES + frame(0xC2, width, height) + dc + ac
    return head + start + b"".join(further()) + b"\xff\xd9"


def arithmetic_jpeg(width: int, height: int, data: bytes, marker: int = 0xC9) -> bytes:
    """Arithmetic coding makes an image of any data, and of no data at all."""
    head = b"\xff\xd8" + _ONES + frame(marker, width, height)
    return head + scan([1, 2, 3], 0, 63, 0, data.replace(b"\xff", b"\xfe")) + b"\xff\xd9"


def baseline_jpeg(width: int, height: int, *, interval: int = 0, separate: bool = False) -> bytes:
    """A valid baseline JPEG of one colour; with restarts, or a scan for each component."""
    blocks = -(-width // 8) * -(-height // 8)
    tables = segment(0xC4, bytes([0x00, 1, *[0] * 15, 0])) + segment(
        0xC4, bytes([0x10, 1, *[0] * 15, 0])
    )
    head = b"\xff\xd8" + _ONES + frame(0xC0, width, height) + tables
    if interval:
        head += segment(0xDD, struct.pack(">H", interval))

    def data(components: int) -> bytes:
        if not interval:
            return _stuffed("00" * components * blocks)
        pieces = [
            _stuffed("00" * components * min(interval, blocks - first))
            for first in range(0, blocks, interval)
        ]
        return (
            b"".join(
                piece + bytes([0xFF, 0xD0 + number % 8]) for number, piece in enumerate(pieces[:-1])
            )
            + pieces[-1]
        )

    if separate:
        scans = b"".join(scan([component], 0, 63, 0, data(1)) for component in (1, 2, 3))
    else:
        scans = scan([1, 2, 3], 0, 63, 0, data(3))
    return head + scans + b"\xff\xd9"


def _stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1)[1:].replace(b"\xff", b"\xff\x00")


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + check


def png(
    width: int,
    height: int,
    *,
    colour: int = 6,
    depth: int = 8,
    before: bytes = b"",
    rows: bytes | None = None,
) -> bytes:
    """A PNG of zeros, or of filtered `rows`; chunks `before` its data."""
    each = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth * width
    packed = zlib.compress(bytes((1 + -(-each // 8)) * height) if rows is None else rows, 1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + end
