"""A JPEG's markers, walked without decoding: what it will cost, and where its EXIF block is.

Markers, segments and entropy-coded data are told apart as libjpeg does (jdmarker.c), so that no
scan which it would decode is missed: fill bytes and stray bytes before a marker are skipped, FF 00
and RSTn belong to the data, thumbnails inside APPn segments are jumped over with these. Source:
ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hawkvision.errors import CorruptImage, PayloadTooLarge
from hawkvision.images.limits import too_many_segments

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2
_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({*range(0xC0), *range(0xD0, 0xD8)})
"""Markers without a length: RSTn, TEM, and those that no decoder knows."""

_NEXT = re.compile(rb"\xff[^\x00\xff]")
_NEXT_BUT_RST = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_EXIF = b"Exif\x00\x00"
_JFIF = b"JFIF\x00"
_PROFILE = b"ICC_PROFILE\x00"
_FEW_BLOCKS = 100_000
"""So many visits of blocks are always allowed: some milliseconds."""


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """What a JPEG declares.

    `blocks` counts the 8x8 blocks of all components, `visits` how many blocks all scans together
    go through. `buffered` says that coefficients of the whole image are kept while it is decoded:
    it is progressive, or its scans are not interleaved. `exif` is the TIFF part of the first EXIF
    block, empty without one. The first scan's data begin at `data_at` and have so many `restarts`.
    `strays` are ranges of bytes before that which belong to no segment, or change no pixel but may
    be faults to a strict decoder.
    """

    width: int
    height: int
    components: int
    blocks: int
    visits: int
    scans: int
    buffered: bool
    exif: bytes
    data_at: int
    restarts: int
    strays: tuple[tuple[int, int], ...]


class _Frame:
    """A frame header (T.81, B.2.2), and how many blocks its scans go through (A.2)."""

    __slots__ = ("blocks", "height", "high", "sampling", "wide", "width")

    def __init__(self, segment: bytes) -> None:
        """From a segment without its length. Raises CorruptImage."""
        count = segment[5] if len(segment) > 5 else 0
        self.height, self.width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
        if not self.width or not self.height or not count:
            raise CorruptImage(
                f"the JPEG declares {self.width}x{self.height} pixels of {count} components",
                hint="Save it again with its size in the frame header.",
            )
        # Component, and how many of its blocks lie across and down one MCU.
        self.sampling: dict[int, tuple[int, int]] = {
            one: (hv >> 4, hv & 15)
            for one, hv in zip(
                segment[6 : 6 + 3 * count : 3], segment[7 : 6 + 3 * count : 3], strict=False
            )
        }
        across, down = zip(*self.sampling.values(), strict=True) if self.sampling else ((), ())
        if len(self.sampling) != count or not {*across, *down} <= {1, 2, 3, 4}:
            raise CorruptImage("the JPEG's frame header is broken", hint="Encode the image again.")
        self.wide, self.high = 8 * max(across), 8 * max(down)
        self.blocks = self.visits(bytes(self.sampling))

    def units(self, selectors: bytes) -> int:
        """MCUs of a scan of these components; of one alone, its blocks."""
        h, v = self.sampling.get(selectors[0], (1, 1)) if len(selectors) == 1 else (1, 1)
        return -(-self.width * h // self.wide) * -(-self.height * v // self.high)

    def visits(self, selectors: bytes) -> int:
        """Blocks that a scan of these components goes through."""
        units = self.units(selectors)
        if len(selectors) == 1:
            return units
        each = 0
        for one in selectors:
            h, v = self.sampling.get(one, (1, 1))
            each += h * v
        return units * each


def walk(data: bytes, *, max_scans: int, max_segments: int) -> JpegStructure:
    """Read the structure; the time it takes grows with the segments, not with the pixels.

    Of a frame whose first scan holds everything nothing behind that scan's header is looked at.
    `max_scans` bounds how often the scans go through a block on average. Raises CorruptImage
    where no frame or scan is found, PayloadTooLarge beyond the limits.
    """
    frame: _Frame | None = None
    exif, at, segments = b"", 2, 0
    strays: list[tuple[int, int]] = []
    scans = visits = data_at = interval = restarts = 0
    buffered = False
    pattern = _NEXT
    while found := pattern.search(data, at):
        if found.start() != at and not data_at:
            strays.append((at, found.start()))
        at = found.end()
        marker = data[at - 1]
        segments += 1
        if segments > max_segments:
            raise too_many_segments("JPEG", max_segments)
        if marker in _ALONE:
            continue
        if marker in (_SOI, _EOI):
            break
        length = max(2, int.from_bytes(data[at : at + 2]))
        body = at + 2
        at += length
        if marker in _FRAMES and frame is None:
            frame = _Frame(data[body:at])
            buffered = marker in _PROGRESSIVE
        elif marker == _APP1 and not exif and data.startswith(_EXIF, body):
            exif = data[body + len(_EXIF) : at]
        elif not data_at and _is_idle(marker, data, body):
            strays.append((body - 4, min(at, len(data))))
        elif marker == _DRI:
            interval = int.from_bytes(data[body : body + 2])
        elif marker == _SOS:
            if frame is None:
                break
            count = data[body] if body < len(data) else 0
            selectors = data[body + 1 : body + 1 + 2 * count : 2]
            scans += 1
            if not selectors:
                break
            visits += frame.visits(selectors)
            if not data_at:
                data_at = at
                restarts = -(-frame.units(selectors) // interval) - 1 if interval else 0
            if not buffered and len(selectors) >= len(frame.sampling):
                break
            buffered = True
            if visits > max(max_scans * frame.blocks, _FEW_BLOCKS):
                raise PayloadTooLarge(
                    f"the JPEG's scans go through each block more than {max_scans} times",
                    hint="Save it again as a baseline JPEG.",
                )
            pattern = _NEXT_BUT_RST
    if frame is None or not scans:
        raise CorruptImage(
            "the JPEG ends before its first scan", hint="Check that the whole file was sent."
        )
    return JpegStructure(
        frame.width,
        frame.height,
        len(frame.sampling),
        frame.blocks,
        visits,
        scans,
        buffered,
        exif,
        data_at,
        restarts,
        tuple(strays),
    )


def is_whole(data: bytes, structure: JpegStructure) -> bool:
    """Whether an interleaved scan with restarts has all of these, in order, and an EOI behind.

    Their numbers go round from 0 to 7 (T.81, B.2.1), so that a piece that was cut out shows.
    """
    for count, found in enumerate(_NEXT.finditer(data, structure.data_at)):
        marker = data[found.end() - 1]
        if marker == _EOI:
            return count == structure.restarts and not structure.buffered
        if marker != 0xD0 + count % 8:
            return False
    return False


def _is_idle(marker: int, data: bytes, body: int) -> bool:
    """Whether it is a colour profile, or a JFIF header of a version that nobody knows."""
    if marker == _APP2:
        return data.startswith(_PROFILE, body)
    return marker == _APP0 and data.startswith(_JFIF, body) and data[body + 5 : body + 6] != b"\x01"


def without_strays(data: bytes, structure: JpegStructure) -> tuple[bytes, JpegStructure]:
    """The same JPEG without its strays."""
    pieces, at = [], 0
    for start, end in structure.strays:
        pieces.append(data[at:start])
        at = end
    removed = sum(end - start for start, end in structure.strays)
    whole = replace(structure, data_at=structure.data_at - removed, strays=())
    return b"".join([*pieces, data[at:]]), whole
