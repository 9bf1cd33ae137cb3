"""Images that are small to send and dear to decode, and other bombs; made bit by bit, no I/O.

Every one is valid by its format's specification: a reader that refuses it does so for what it
costs, not for being broken.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache

SIDE = 6000
"""Of a bomb in pixels: 36 million of them, the most that is accepted by default."""

_LARGEST_RUN = 32_767
_BLOCK = b"\x00" * 65_536
_PNG = b"\x89PNG\r\n\x1a\n"


class Bits:
    """Bits to bytes, the highest first (JPEG) or the lowest first (WebP)."""

    def __init__(self, *, lowest_first: bool = False) -> None:
        self._bits: list[int] = []
        self._lowest_first = lowest_first

    def put(self, value: int, count: int) -> None:
        """Append `value` in `count` bits."""
        order = range(count) if self._lowest_first else range(count - 1, -1, -1)
        self._bits.extend(value >> at & 1 for at in order)

    def bytes(self, *, fill: int) -> bytes:
        """All of them, with `fill` (0 or 1) up to the next whole byte."""
        bits = self._bits + [fill] * (-len(self._bits) % 8)
        weights = range(8) if self._lowest_first else range(7, -1, -1)
        return bytes(
            sum(bit << weight for bit, weight in zip(bits[at : at + 8], weights, strict=True))
            for at in range(0, len(bits), 8)
        )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _empty_scan(blocks: int) -> bytes:
    """Entropy-coded data that says of every block that nothing comes: end-of-band runs."""
    bits = Bits()
    while blocks:
        run = min(blocks, _LARGEST_RUN)
        size = run.bit_length() - 1
        bits.put(size, 4)  # the table below gives EOBn the code n
        bits.put(run - (1 << size), size)
        blocks -= run
    return bits.bytes(fill=1).replace(b"\xff", b"\xff\x00")


def _progression(components: int) -> Iterator[bytes]:
    """Headers of all legal scans: each coefficient alone, from bit 13 down to bit 0."""
    for component in range(1, components + 1):
        for coefficient in range(1, 64):
            for low in range(13, -1, -1):
                approximation = (0 if low == 13 else (low + 1) << 4) | low
                yield bytes((1, component, 0x00, coefficient, coefficient, approximation))


@lru_cache(maxsize=4)
def jpeg_scans(scans: int, *, width: int = SIDE, height: int = SIDE, components: int = 3) -> bytes:
    """A valid progressive JPEG of `scans` scans, at most 1 + 882 for each component.

    Grey, every scan but the first saying nothing (ITU-T T.81, G.1.2.2: EOBn). Sides are multiples
    of 8. Decoders go over all coefficients once for each scan. Raises ValueError.
    """
    if width % 8 or height % 8 or not 1 <= scans <= 1 + 882 * components:
        raise ValueError(f"no {scans} scans of {components} components, {width}x{height}")
    blocks = (width // 8) * (height // 8)
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes((number, 0x11, 0)) for number in range(1, components + 1))
    parts = [b"\xff\xd8"]
    if components == 4:
        parts.append(_segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00"))
    parts += [
        _segment(0xDB, bytes((0,)) + bytes((16,)) * 64),
        _segment(0xC2, frame),
        _segment(0xC4, bytes((0x00, 1)) + bytes(15) + bytes((0,))),
        _segment(0xC4, bytes((0x10, 0, 0, 0, 15)) + bytes(12) + bytes(n << 4 for n in range(15))),
    ]
    first = bytes((components,)) + b"".join(bytes((n, 0)) for n in range(1, components + 1))
    whole, rest = divmod(blocks * components, 8)  # a bit 0 says that a block is as the last one
    parts.append(_segment(0xDA, first + bytes((0, 0, 0))) + bytes(whole))
    if rest:
        parts.append(bytes(((1 << (8 - rest)) - 1,)))
    nothing = _empty_scan(blocks)
    for header, _ in zip(_progression(components), range(scans - 1), strict=False):
        parts += [_segment(0xDA, header), nothing]
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def count_scans(data: bytes) -> int:
    """Start-of-scan markers of a JPEG without thumbnails."""
    return data.count(b"\xff\xda")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _zeros(count: int) -> bytes:
    """A zlib stream of so many zero bytes."""
    packer = zlib.compressobj(6)
    parts = [packer.compress(_BLOCK) for _ in range(count // len(_BLOCK))]
    parts += [packer.compress(_BLOCK[: count % len(_BLOCK)]), packer.flush()]
    return b"".join(parts)


@lru_cache(maxsize=4)
def png(
    *,
    width: int = SIDE,
    height: int = SIDE,
    colour: int = 6,
    depth: int = 8,
    texts: int = 0,
    text_bytes: int = 0,
) -> bytes:
    """A PNG of zeros; colour type 6 is RGBA, 0 grey (with 16 bits of `depth` too), 2 RGB.

    `texts` zTXt chunks follow the header, each of `text_bytes` once inflated.
    """
    channels = {0: 1, 2: 3, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    note = _chunk(b"zTXt", b"Comment\x00\x00" + _zeros(text_bytes)) if texts else b""
    pixels = _zeros(height * (1 + width * channels * depth // 8))
    return b"".join(
        (_PNG, _chunk(b"IHDR", header), note * texts, _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    )


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def _lossless(width: int, height: int) -> bytes:
    """A VP8L bitstream of one colour: five prefix codes of one symbol each take no bits at all."""
    bits = Bits(lowest_first=True)
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 1 + 3)  # no alpha, version 0
    bits.put(0, 1 + 1 + 1)  # no transform, no colour cache, one group of codes
    for _ in range(5):
        bits.put(0b0001, 4)  # simple, one symbol, of one bit, 0
    return bits.bytes(fill=0)


def webp(*, width: int = SIDE, height: int = SIDE) -> bytes:
    """A lossless WebP of one colour, about 40 bytes whatever its size."""
    return _riff(b"RIFF", b"WEBP" + _riff(b"VP8L", _lossless(width, height)))


def webp_animation(frames: int, *, width: int = SIDE, height: int = SIDE) -> bytes:
    """An animated WebP, every frame as large as the canvas."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    head = _riff(b"VP8X", b"\x02\x00\x00\x00" + size)
    loop = _riff(b"ANIM", b"\xff\xff\xff\xff\x00\x00")
    image = _riff(b"VP8L", _lossless(width, height))
    frame = _riff(b"ANMF", bytes(6) + size + b"\x28\x00\x00" + b"\x02" + image)
    return _riff(b"RIFF", b"WEBP" + head + loop + frame * frames)


@lru_cache(maxsize=2)
def gzip_zeros(count: int) -> bytes:
    """`count` zero bytes under gzip, a thousandth of that."""
    return gzip.compress(bytes(count), 6)


FLAT: dict[str, Callable[[], bytes]] = {
    "lossless WebP, 36 MP": webp,
    "RGBA PNG, 36 MP": png,
    "grey PNG of 16 bits, 36 MP": lambda: png(colour=0, depth=16),
}
SCANS: dict[str, Callable[[], bytes]] = {
    "progressive JPEG, 36 MP, 2,646 scans": lambda: jpeg_scans(2646),
    "progressive JPEG, 65,496 px wide, 400 scans": lambda: jpeg_scans(
        400, width=65_496, height=544
    ),
    "progressive CMYK JPEG, 25 MP, 3,000 scans": lambda: jpeg_scans(
        3000, width=5000, height=5000, components=4
    ),
}
MANY: dict[str, Callable[[], bytes]] = {
    "PNG, 60 texts of 1 MB": lambda: png(width=64, height=64, texts=60, text_bytes=1_000_000),
    "animated WebP, 1,000 frames of 36 MP": lambda: webp_animation(1000),
}
