"""A JPEG's markers, walked without decoding: what it will cost, and where its EXIF block is.

Markers, segments and entropy-coded data are told apart as libjpeg does (jdmarker.c), so that no
scan which it would decode is missed: fill bytes and stray bytes before a marker are skipped, FF 00
and RSTn belong to the data, thumbnails inside APPn segments are jumped over with these. Source:
ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hawkvision.errors import CorruptImage, PayloadTooLarge
from hawkvision.images.limits import too_many_segments

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2
_DHT, _JPG, _DAC, _DQT = 0xC4, 0xC8, 0xCC, 0xDB
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


class Frame:
    """A frame header (T.81, B.2.2), and how many blocks its scans go through (A.2)."""

    __slots__ = ("components", "height", "high", "sampling", "segment", "wide", "width")

    def __init__(self, segment: bytes) -> None:
        """From a segment without its length. Raises CorruptImage."""
        self.segment = segment
        self.components = segment[5] if len(segment) > 5 else 0
        self.height, self.width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
        if not self.width or not self.height or not self.components:
            raise CorruptImage(
                f"the JPEG declares {self.width}x{self.height} pixels of {self.components} "
                "components",
                hint="Save it again with its size in the frame header.",
            )
        self.sampling: dict[int, tuple[int, int]] = {}

    @property
    def blocks(self) -> int:
        """8x8 blocks of all components. Raises CorruptImage, as all below."""
        self._read()
        return self.visits(bytes(self.sampling))

    @property
    def mcus(self) -> int:
        """Of one scan of all components."""
        self._read()
        return self.units(bytes(self.sampling))

    def units(self, selectors: bytes) -> int:
        """MCUs of a scan of these components; of one alone, its blocks."""
        self._read()
        h, v = self.sampling.get(selectors[0], (1, 1)) if len(selectors) == 1 else (1, 1)
        return -(-self.width * h // self.wide) * -(-self.height * v // self.high)

    def visits(self, selectors: bytes) -> int:
        """Blocks that a scan of these components goes through."""
        units = self.units(selectors)
        if len(selectors) == 1:
            return units
        sizes = [self.sampling.get(one, (1, 1)) for one in selectors]
        return units * sum(h * v for h, v in sizes)

    def _read(self) -> None:
        """How many blocks of each component lie across and down one MCU."""
        if self.sampling:
            return
        ids, sizes = self.segment[6::3], self.segment[7::3]
        found = {
            one: (size >> 4, size & 15)
            for one, size in zip(ids[: self.components], sizes, strict=False)
        }
        across = {h for h, _ in found.values()}
        down = {v for _, v in found.values()}
        if len(found) != self.components or not across | down <= {1, 2, 3, 4}:
            raise CorruptImage("the JPEG's frame header is broken", hint="Encode the image again.")
        self.sampling, self.wide, self.high = found, 8 * max(across), 8 * max(down)


class JpegStructure(NamedTuple):
    """What a JPEG declares.

    `buffered` says that coefficients of the whole image are kept while it is decoded: it is
    progressive, or its scans are not interleaved. Only then all `scans` are counted, and how many
    blocks they go through (`visits`). `exif` is the TIFF part of the first EXIF block, empty
    without one. The first scan's data begin at `data_at`; every `interval` of its MCUs ends with a
    restart marker, if not 0. `strays` are ranges of bytes before that which belong to no segment,
    or change no pixel but may be faults to a strict decoder.
    """

    frame: Frame
    buffered: bool
    scans: int
    visits: int
    exif: bytes
    data_at: int
    interval: int
    strays: tuple[tuple[int, int], ...]


def walk(data: bytes, *, max_scans: int, max_segments: int) -> JpegStructure:
    """Read the structure; the time it takes grows with the segments, not with the pixels.

    Of a frame whose first scan holds everything nothing behind that scan's header is looked at.
    `max_scans` bounds how often the scans go through a block on average. Raises CorruptImage
    where no frame or scan is found, PayloadTooLarge beyond the limits.
    """
    frame: Frame | None = None
    exif, at, segments = b"", 2, 0
    strays: list[tuple[int, int]] = []
    scans = visits = most = data_at = interval = 0
    buffered = False
    search = _NEXT.search
    while found := search(data, at):
        start = found.start()
        if start != at and not data_at:
            strays.append((at, start))
        at = start + 2
        marker = data[at - 1]
        segments += 1
        if segments > max_segments:
            raise too_many_segments("JPEG", max_segments)
        if marker in _ALONE:
            continue
        if marker in (_EOI, _SOI):
            break
        body = at + 2
        at += max(2, int.from_bytes(data[at:body]))
        if marker in (_DHT, _DQT):
            continue
        if marker in _FRAMES and frame is None:
            frame = Frame(data[body:at])
            buffered = marker in _PROGRESSIVE
        elif marker == _APP1:
            if not exif and data.startswith(_EXIF, body):
                exif = data[body + len(_EXIF) : at]
        elif marker == _DRI:
            interval = int.from_bytes(data[body : body + 2])
        elif marker == _SOS:
            count = data[body] if body < len(data) else 0
            if frame is None or not count:
                break
            scans += 1
            data_at = data_at or at
            if not buffered and count >= frame.components:
                break
            buffered = True
            visits += frame.visits(data[body + 1 : body + 1 + 2 * count : 2])
            most = most or max(max_scans * frame.blocks, _FEW_BLOCKS)
            if visits > most:
                raise PayloadTooLarge(
                    f"the JPEG's scans go through each block more than {max_scans} times",
                    hint="Save it again as a baseline JPEG.",
                )
            search = _NEXT_BUT_RST.search
        elif not data_at and _is_idle(marker, data, body):
            strays.append((body - 4, min(at, len(data))))
    if frame is None or not scans:
        raise CorruptImage(
            "the JPEG ends before its first scan", hint="Check that the whole file was sent."
        )
    return JpegStructure(frame, buffered, scans, visits, exif, data_at, interval, tuple(strays))


def is_whole(data: bytes, structure: JpegStructure) -> bool:
    """Whether an interleaved scan with restarts has all of these, in order, and an EOI behind.

    Their numbers go round from 0 to 7 (T.81, B.2.1), so that a piece that was cut out shows.
    """
    if structure.buffered:
        return False
    interval = structure.interval
    restarts = -(-structure.frame.mcus // interval) - 1 if interval else 0
    for count, found in enumerate(_NEXT.finditer(data, structure.data_at)):
        marker = data[found.end() - 1]
        if marker == _EOI:
            return count == restarts
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
    whole = structure._replace(data_at=structure.data_at - removed, strays=())
    return b"".join([*pieces, data[at:]]), whole
