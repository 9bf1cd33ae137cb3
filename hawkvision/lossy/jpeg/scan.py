"""A baseline JPEG taken apart into what RTP/JPEG carries, and put together again."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache

from hawkvision.errors import UnsupportedImage
from hawkvision.lossy.jpeg.layout import LARGEST_SIDE, Layout
from hawkvision.lossy.jpeg.tables import HUFFMAN_SEGMENTS

_SOF0, _DHT, _SOS, _DQT, _DRI, _EOI = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_STANDARD_HUFFMAN = frozenset(
    HUFFMAN_SEGMENTS[start:end] for start, end in ((4, 33), (37, 216), (220, 249), (253, 432))
)
END = b"\xff\xd9"
RESTART = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class JpegScan:
    """`tables`: 128 bytes, luminance and chrominance, zigzag; `data`: the scan without EOI."""

    layout: Layout
    tables: bytes
    data: bytes

    @classmethod
    def parse(cls, jpeg: bytes) -> JpegScan:
        """Raises UnsupportedImage with the reason why RFC 2435 cannot carry this image."""
        reader = _Reader(jpeg)
        reader.read()
        return cls(reader.layout(), reader.two_tables(), reader.scan())

    def __bytes__(self) -> bytes:
        return headers(self.layout, self.tables) + self.data + END


@lru_cache(maxsize=64)
def headers(layout: Layout, tables: bytes) -> bytes:
    """SOI to SOS of a JPEG with this geometry (RFC 2435, appendix B).

    `tables`: 128 bytes, or 192 with the second chroma component's own.
    """
    vertical = 2 if layout.type else 1
    last = len(tables) // 64 - 1
    frame = struct.pack("!BHHB", 8, layout.height, layout.width, 3)
    frame += bytes((1, 0x20 | vertical, 0, 2, 0x11, 1, 3, 0x11, last))
    parts = [
        b"\xff\xd8",
        *(_segment(_DQT, bytes((n,)) + tables[64 * n : 64 * n + 64]) for n in range(last + 1)),
        _segment(_SOF0, frame),
        HUFFMAN_SEGMENTS,
    ]
    if layout.interval:
        parts.append(_segment(_DRI, struct.pack("!H", layout.interval)))
    parts.append(_segment(_SOS, bytes((3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(body) + 2) + body


def _refuse(reason: str) -> UnsupportedImage:
    return UnsupportedImage(
        f"RTP/JPEG cannot carry this image: {reason}", hint="The sender can encode it again."
    )


class _Reader:
    """Reads segments up to the scan."""

    def __init__(self, jpeg: bytes) -> None:
        self._jpeg = jpeg
        self._tables: dict[int, bytes] = {}
        self._frame = b""
        self._interval = 0
        self._scan_at = 0
        self._scan_header = b""
        self._huffman: list[bytes] = []

    def read(self) -> None:
        data, at = self._jpeg, 2
        if data[:2] != b"\xff\xd8":
            raise _refuse("not a JPEG")
        while not self._scan_at:
            if at + 4 > len(data) or data[at] != 0xFF:
                raise _refuse("its headers are damaged")
            marker = data[at + 1]
            if marker == 0xFF or marker in _ALONE:
                at += 1 if marker == 0xFF else 2
                continue
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            self._take(marker, data[at + 4 : end], end)
            at = end

    def _take(self, marker: int, body: bytes, end: int) -> None:
        if marker == _DQT:
            self._take_tables(body)
        elif marker == _DHT:
            self._take_huffman(body)
        elif marker == _SOF0:
            self._frame = body
        elif 0xC1 <= marker <= 0xCF:
            raise _refuse("progressive, arithmetic or extended coding")
        elif marker == _DRI and len(body) >= 2:
            self._interval = int.from_bytes(body[:2], "big")
        elif marker == _SOS:
            self._scan_header, self._scan_at = body, end

    def _take_huffman(self, body: bytes) -> None:
        while len(body) > 17:
            length = 17 + sum(body[1:17])
            self._huffman.append(body[:length])
            body = body[length:]

    def _take_tables(self, body: bytes) -> None:
        while body:
            if body[0] >> 4:
                raise _refuse("quantization tables of 16 bits")
            if len(body) < 65:
                raise _refuse("its headers are damaged")
            self._tables[body[0] & 15] = body[1:65]
            body = body[65:]

    def layout(self) -> Layout:
        frame = self._frame
        if len(frame) < 6:
            raise _refuse("its headers are damaged")
        bits, height, width, parts = struct.unpack("!BHHB", frame[:6])
        if parts != 3 or len(frame) < 15:
            raise _refuse("not three components")
        samplings = (frame[7], frame[10], frame[13])
        kind = {(0x21, 0x11, 0x11): 0, (0x22, 0x11, 0x11): 1}.get(samplings)
        if bits != 8 or kind is None:
            raise _refuse("neither 4:2:0 nor 4:2:2 of 8 bits")
        if not 0 < width <= LARGEST_SIDE or not 0 < height <= LARGEST_SIDE:
            raise _refuse(f"{width}x{height} px, a side may have {LARGEST_SIDE}")
        if any(table not in _STANDARD_HUFFMAN for table in self._huffman):
            raise _refuse("Huffman tables of its own")
        return Layout(kind, -(-width // 8) * 8, -(-height // 8) * 8, self._interval)

    def two_tables(self) -> bytes:
        luma, blue, red = (self._tables.get(self._frame[8 + 3 * part]) for part in range(3))
        if luma is None or blue is None or blue != red:
            raise _refuse("not one quantization table for luminance and one for chrominance")
        return luma + blue

    def scan(self) -> bytes:
        if len(self._scan_header) < 10 or self._scan_header[0] != 3:
            raise _refuse("more than one scan")
        end = self._jpeg.rfind(END)
        if end < self._scan_at:
            raise _refuse("it is cut short")
        return self._jpeg[self._scan_at : end]
