"""Pictures with the statistics of photos, and their packets; different for every seed."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from hawkvision.lossy.assembler import Assembler, Frame
from hawkvision.lossy.jpeg.packetize import fragments_of
from hawkvision.lossy.jpeg.scan import END, JpegScan
from hawkvision.lossy.wire.rtpjpeg import TABLES_IN_BAND, JpegFragment

Pixels = npt.NDArray[np.uint8]
ROOM = 1166


def picture(seed: int, width: int = 224, height: int = 224) -> Pixels:
    """Random fields of all scales: about 10 kB at 224 px and quality 85."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width, 3), np.float32)
    size = 4
    while size < min(width, height):
        shape = (max(2, size * height // width), size, 3)
        noise = rng.standard_normal(shape).astype(np.float32)
        larger = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        field += larger * (70 / size**0.5)
        size *= 2
    return np.asarray(np.clip(128 + field + rng.uniform(-40, 40, 3), 0, 255), np.uint8)


def jpeg(seed: int, width: int = 224, height: int = 224, **options: Any) -> bytes:
    """A JPEG; 4:2:0 with a restart interval for each row of MCUs unless told otherwise."""
    settings: dict[str, Any] = {"quality": 85, "subsampling": 2, "restart_marker_rows": 1}
    out = io.BytesIO()
    Image.fromarray(picture(seed, width, height)).save(out, "JPEG", **(settings | options))
    return out.getvalue()


def aligned(scan: JpegScan, room: int = ROOM) -> list[JpegFragment]:
    """As our sender cuts it."""
    return fragments_of(scan, room)


def unaligned(
    scan: JpegScan, room: int = ROOM, *, drops_interval: bool = False
) -> list[JpegFragment]:
    """As GStreamer cuts it (plain cuts, F = L = 1, count 0x3FFF), or FFmpeg (no DRI at all)."""
    data = scan.data + END
    layout = replace(scan.layout, interval=0) if drops_interval else scan.layout
    return [
        JpegFragment(at, layout, TABLES_IN_BAND, data[at : at + room], b"" if at else scan.tables)
        for at in range(0, len(data), room)
    ]


def received(
    fragments: list[JpegFragment], kept: list[int], *, assembler: Assembler | None = None
) -> Frame:
    """The frame that some of the fragments make when its time is over."""
    assembler = assembler or Assembler(0.05)
    frames = []
    for index in kept:
        marker = index == len(fragments) - 1
        frames += assembler.add(7, marker, fragments[index], 0.001 * index)
    frames += assembler.poll(10.0)
    assert len(frames) == 1
    return frames[0]
