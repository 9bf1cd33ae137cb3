"""The RTP payload format for JPEG (RFC 2435): one fragment of a frame per packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.jpeg.layout import LARGEST_SIDE, MOST_INTERVALS, Layout
from hawkvision.lossy.wire.unreadable import UnreadablePacket

PAYLOAD_TYPE = 26
_TABLE_BYTES = 64
_MAIN = struct.Struct("!IBBBB")
_RESTART = struct.Struct("!HH")
_TABLES = struct.Struct("!BBH")
_UNALIGNED = 0x3FFF
TABLES_IN_BAND = 255


@dataclass(frozen=True, slots=True)
class Size:
    """A size in eights of pixels, of which at least one side is beyond the header's 255."""

    width: int
    height: int

    @classmethod
    def of_pixels(cls, width: int, height: int) -> Size | None:
        """None for a size that the header can say itself."""
        if max(width, height) <= LARGEST_SIDE:
            return None
        return cls(-(-width // 8), -(-height // 8))

    def stands_for(self, width: int, height: int) -> bool:
        """Whether a sender of such images says this in its header.

        GStreamer says 0x0 (and the size in SDP, `x-dimensions`), FFmpeg what is left in a byte.
        """
        pairs = ((self.width, width), (self.height, height))
        return all(said in (0, side & 0xFF) for side, said in pairs)


@lru_cache(maxsize=256)
def _layout(kind: int, width: int, height: int, interval: int) -> Layout:
    return Layout(kind, width, height, interval)


@dataclass(frozen=True, slots=True)
class JpegFragment:
    """A run of entropy-coded bytes at `offset` within its frame.

    `q` is 1 to 99 for computed tables, 128 to 255 for tables in band, which the fragment at offset
    0 carries in `tables` (128 bytes, 192 where both chroma components have their own, or empty
    where the last ones stay valid). `start` is the
    index of the first restart interval of the chunk that this fragment belongs to, None where it
    does not say; `first` and `last` mark the chunk's ends.
    """

    offset: int
    layout: Layout
    q: int
    data: bytes
    tables: bytes = b""
    start: int | None = None
    first: bool = True
    last: bool = True

    @classmethod
    def parse(cls, payload: bytes, stated: Size | None = None) -> JpegFragment:
        """Raises MalformedPacket; UnreadablePacket for what this receiver does not read.

        `stated` is the size of images that are too large for the header, agreed upon elsewhere.
        Not read: interlaced fields, types other than 0, 1, 64 and 65, reserved Q, sizes of 0 where
        none is stated, tables with values of 0 or over 255.
        """
        if len(payload) < 8:
            raise MalformedPacket("the RTP/JPEG header is cut short")
        word, kind, q, width, height = _MAIN.unpack_from(payload)
        if stated is not None and stated.stands_for(width, height):
            width, height = stated.width, stated.height
        if word >> 24 or kind & 0xBE or not width or not height or q == 0 or 100 <= q < 128:
            raise _not_read(word >> 24, kind, q, 8 * width, 8 * height)
        offset, at = word & 0xFFFFFF, 8
        interval, start, first, last = 0, None, True, True
        if kind & 0x40:
            if len(payload) < 12:
                raise MalformedPacket("the restart header is cut short")
            interval, flags = _RESTART.unpack_from(payload, 8)
            at = 12
            if not interval:
                raise UnreadablePacket("restart_interval", "a restart interval of 0")
            first, last = bool(flags & 0x8000), bool(flags & 0x4000)
            if flags & 0x3FFF != _UNALIGNED:
                start = flags & 0x3FFF
        tables = b""
        if q >= 128 and offset == 0:
            if len(payload) < at + 4:
                raise MalformedPacket("the quantization header is cut short")
            _, precision, length = _TABLES.unpack_from(payload, at)
            at += 4
            if len(payload) < at + length:
                raise MalformedPacket("the quantization tables are cut short")
            tables = _tables(precision, payload[at : at + length]) if length else b""
            at += length
        if at == len(payload):
            raise MalformedPacket("no image data")
        layout = _layout(kind & 1, 8 * width, 8 * height, interval)
        if layout.intervals > MOST_INTERVALS:
            raise UnreadablePacket("restart_interval", f"{layout.intervals} intervals")
        if start is not None and start >= layout.intervals:
            raise UnreadablePacket(
                "restart_interval", f"restart count {start} of {layout.intervals} intervals"
            )
        return cls(offset, layout, q, payload[at:], tables, start, first, last)

    def __bytes__(self) -> bytes:
        layout = self.layout
        kind = layout.type | (0x40 if layout.interval else 0)
        width, height = layout.width // 8 & 0xFF, layout.height // 8 & 0xFF
        head = _MAIN.pack(self.offset, kind, self.q, width, height)
        if layout.interval:
            count = _UNALIGNED if self.start is None else self.start
            flags = count | (0x8000 if self.first else 0) | (0x4000 if self.last else 0)
            head += _RESTART.pack(layout.interval, flags)
        if self.q >= 128 and self.offset == 0:
            head += _TABLES.pack(0, 0, len(self.tables)) + self.tables
        return head + self.data


def _not_read(specific: int, kind: int, q: int, width: int, height: int) -> UnreadablePacket:
    """Why a main header (RFC 2435, section 3.1) is not read; the first reason that holds."""
    if kind & 0xBE:
        return UnreadablePacket("jpeg_type", f"RTP/JPEG type {kind}")
    if specific:
        return UnreadablePacket("interlaced", f"type-specific {specific}: an interlaced field")
    if not width or not height:
        return UnreadablePacket("size", f"a size of {width}x{height} px")
    return UnreadablePacket("quality", f"Q {q} is reserved")


@lru_cache(maxsize=256)
def _tables(precision: int, data: bytes) -> bytes:
    """Tables of 8 bits: 128 bytes, or 192. Raises UnreadablePacket.

    One table stands for both (JPEGs of FFmpeg and of some cameras have one). Bit n of `precision`
    says that table n has 16 bits (RFC 2435, section 3.1.8).
    """
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < 4:
        wide = precision >> len(found) & 1
        table = data[at : at + (_TABLE_BYTES << wide)]
        at += len(table)
        if len(table) < _TABLE_BYTES << wide or (wide and any(table[::2])):
            found = []
            break
        found.append(table[1::2] if wide else table)
    if at != len(data) or not 1 <= len(found) <= 3 or 0 in b"".join(found):
        raise UnreadablePacket(
            "tables", f"quantization tables of {len(data)} bytes, precision {precision}"
        )
    return b"".join(found * 2 if len(found) == 1 else found)
