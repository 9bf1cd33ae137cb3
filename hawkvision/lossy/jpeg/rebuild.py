"""A whole JPEG from what arrived of it: lost restart intervals become flat MCUs.

Decoders cannot be given a stream with holes (libjpeg silently misplaces what follows three or more
missing intervals); a stream whose holes hold flat MCUs is valid for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hawkvision.errors import CorruptImage
from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.jpeg.intervals import collect, runs_of
from hawkvision.lossy.jpeg.layout import MOST_INTERVALS, Layout
from hawkvision.lossy.jpeg.scan import END, RESTART, headers
from hawkvision.lossy.jpeg.tables import FALLBACK_QUALITY, quantization_tables

Lost = npt.NDArray[np.bool_]
_FLAT_420, _FLAT_422 = "001010" * 4 + "00" * 4, "001010" * 2 + "00" * 4
_MARKERS = [bytes((0xFF, 0xD0 + number)) for number in range(8)]


@dataclass(frozen=True)
class Rebuilt:
    """A JPEG that any decoder takes.

    `lost` bool [rows, columns] of MCUs, None where all is there. With `prefix_only` the sender
    uses no restart intervals and the JPEG ends where the first gap begins: what is lost shows
    after decoding only. `tables_known` is False where quantization tables had to be guessed.
    """

    jpeg: bytes
    layout: Layout
    lost: Lost | None
    prefix_only: bool = False
    tables_known: bool = True
    unplaced: int = 0
    mean_bytes: float | None = None

    @property
    def lost_fraction(self) -> float:
        """The share of MCUs that is not there."""
        return 0.0 if self.lost is None else float(self.lost.mean())

    @property
    def complete(self) -> bool:
        """Whether the image is what was sent."""
        return self.lost is None and not self.prefix_only and self.tables_known


@lru_cache(maxsize=256)
def flat_interval(kind: int, mcus: int) -> bytes:
    """Entropy-coded bytes of `mcus` grey MCUs (DC difference 0, end of block), padded with ones."""
    bits = (_FLAT_420 if kind else _FLAT_422) * mcus
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def rebuild(frame: Frame) -> Rebuilt:
    """Rebuild a frame from its fragments. Raises CorruptImage where nothing can be used."""
    tables = frame.tables or quantization_tables(FALLBACK_QUALITY)
    known = frame.tables is not None
    if frame.complete:
        data = b"".join(fragment.data for fragment in frame.fragments)
        end = data.find(END, max(0, len(data) - 64))
        data = data[:end] if end >= 0 else data
        layout = _with_interval(frame.layout, data, frame.interval_hint, whole=True)
        return Rebuilt(headers(layout, tables) + data + END, layout, None, tables_known=known)
    return _with_holes(frame, tables, known)


def _with_holes(frame: Frame, tables: bytes, known: bool) -> Rebuilt:
    first = frame.fragments[0]
    layout = frame.layout
    if not layout.interval:
        sample = b"".join(fragment.data for fragment in frame.fragments)
        layout = _with_interval(layout, sample, frame.interval_hint, whole=False)
    if not layout.interval:
        if first.offset:
            raise CorruptImage(
                "the frame's beginning is lost and it has no restart intervals",
                hint="Let the camera insert restart markers, one MCU row apart.",
            )
        prefix = runs_of(frame.fragments, frame.size, 1)[0].segments[0]
        return Rebuilt(
            headers(layout, tables) + prefix + END, layout, None, True, tables_known=known
        )
    runs = runs_of(frame.fragments, frame.size, layout.intervals)
    found = collect(runs, frame.size, layout, frame.mean_bytes)
    lost = np.zeros(layout.mcus, np.bool_)
    parts = [headers(layout, tables)]
    last = layout.intervals - 1
    for index, piece in enumerate(found.pieces):
        if piece is None:
            begin = index * layout.interval
            end = min(begin + layout.interval, layout.mcus)
            lost[begin:end] = True
            piece = flat_interval(layout.type, end - begin)
        parts.append(piece)
        if index != last:
            parts.append(_MARKERS[index % 8])
    parts.append(END)
    mask = lost.reshape(layout.rows, layout.columns) if lost.any() else None
    return Rebuilt(b"".join(parts), layout, mask, False, known, found.unplaced, found.mean_bytes)


def _with_interval(layout: Layout, data: bytes, hint: int, *, whole: bool) -> Layout:
    """The layout with the restart interval that the data shows though the header does not.

    FFmpeg leaves restart markers in the data and drops DRI. All intervals but the last are equal,
    and encoders set them to rows of MCUs, unless a whole frame shows another number of markers.
    """
    if layout.interval or RESTART.search(data) is None:
        return layout
    if not whole:
        hinted = replace(layout, interval=hint)
        fits = hint and hinted.intervals <= MOST_INTERVALS
        return hinted if fits else replace(layout, interval=layout.columns)
    count = 1 + sum(1 for _ in RESTART.finditer(data))
    rows = math.ceil(layout.rows / count)
    if math.ceil(layout.rows / rows) == count:
        return replace(layout, interval=rows * layout.columns)
    interval = math.ceil(layout.mcus / count)
    return replace(layout, interval=interval)
