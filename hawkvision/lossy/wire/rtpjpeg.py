"""The RTP payload format for JPEG (RFC 2435): one fragment of a frame per packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.jpeg.layout import Layout

PAYLOAD_TYPE = 26
TABLES_BYTES = 128
_MAIN = struct.Struct("!IBBBB")
_RESTART = struct.Struct("!HH")
_TABLES = struct.Struct("!BBH")
_UNALIGNED = 0x3FFF
TABLES_IN_BAND = 255


@lru_cache(maxsize=256)
def _layout(kind: int, width: int, height: int, interval: int) -> Layout:
    return Layout(kind, width, height, interval)


@dataclass(frozen=True, slots=True)
class JpegFragment:
    """A run of entropy-coded bytes at `offset` within its frame.

    `q` is 1 to 99 for computed tables, 128 to 255 for tables in band, which the fragment at offset
    0 carries in `tables` (128 bytes, or empty where the last ones stay valid). `start` is the
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
    def parse(cls, payload: bytes) -> JpegFragment:
        """Raises MalformedPacket, also for what this receiver does not read.

        Not read: interlaced fields, types other than 0, 1, 64 and 65, sizes left to SDP, tables
        that are not two of 8 bits.
        """
        if len(payload) < 8:
            raise MalformedPacket("the RTP/JPEG header is cut short")
        word, kind, q, width, height = _MAIN.unpack_from(payload)
        if word >> 24 or kind & 0xBE or not width or not height or q == 0 or 100 <= q < 128:
            raise MalformedPacket(
                f"RTP/JPEG type {kind}, Q {q}, {8 * width}x{8 * height}: not read here",
                hint="Baseline 4:2:2 or 4:2:0, progressive scan, at most 2040 px a side.",
            )
        offset, at = word & 0xFFFFFF, 8
        interval, start, first, last = 0, None, True, True
        if kind & 0x40:
            if len(payload) < 12:
                raise MalformedPacket("the restart header is cut short")
            interval, flags = _RESTART.unpack_from(payload, 8)
            at = 12
            if not interval:
                raise MalformedPacket("a restart interval of 0")
            first, last = bool(flags & 0x8000), bool(flags & 0x4000)
            if flags & 0x3FFF != _UNALIGNED:
                start = flags & 0x3FFF
        tables = b""
        if q >= 128 and offset == 0:
            if len(payload) < at + 4:
                raise MalformedPacket("the quantization header is cut short")
            _, precision, length = _TABLES.unpack_from(payload, at)
            at += 4
            if (
                length not in (0, TABLES_BYTES)
                or (length and precision)
                or len(payload) < at + length
            ):
                raise MalformedPacket(
                    f"quantization tables of {length} bytes, precision {precision}"
                )
            tables = payload[at : at + length]
            at += length
        if at == len(payload):
            raise MalformedPacket("no image data")
        layout = _layout(kind & 1, 8 * width, 8 * height, interval)
        if start is not None and start >= layout.intervals:
            raise MalformedPacket(f"restart count {start} of {layout.intervals} intervals")
        return cls(offset, layout, q, payload[at:], tables, start, first, last)

    def __bytes__(self) -> bytes:
        layout = self.layout
        kind = layout.type | (0x40 if layout.interval else 0)
        head = _MAIN.pack(self.offset, kind, self.q, layout.width // 8, layout.height // 8)
        if layout.interval:
            count = _UNALIGNED if self.start is None else self.start
            flags = count | (0x8000 if self.first else 0) | (0x4000 if self.last else 0)
            head += _RESTART.pack(layout.interval, flags)
        if self.q >= 128 and self.offset == 0:
            head += _TABLES.pack(0, 0, len(self.tables)) + self.tables
        return head + self.data
