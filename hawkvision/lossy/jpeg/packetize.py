"""Images as RTP/JPEG fragments that can be decoded one by one (RFC 2435, section 3.1.7).

Restart intervals take at most half a packet and packets hold whole intervals, so a lost packet
costs what it carried and nothing else. What RFC 2435 cannot carry (4:4:4, grey, progressive, own
Huffman tables, sides over 2040 px, an EXIF orientation) or has no such intervals is encoded again
with the same quantization tables.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.errors import CorruptImage, UnsupportedImage
from hawkvision.lossy.jpeg.layout import LARGEST_SIDE, Layout
from hawkvision.lossy.jpeg.scan import RESTART, JpegScan
from hawkvision.lossy.jpeg.tables import quality_of
from hawkvision.lossy.wire.rtp import HEADER_BYTES
from hawkvision.lossy.wire.rtpjpeg import TABLES_IN_BAND, JpegFragment

Image = npt.NDArray[np.uint8]
_JPEG_HEADER_BYTES = 12
_TABLES_BYTES = 132
_MOST_INTERVALS = 0x3FFE
_DEFAULT_QUALITY = 85


def payload_room(mtu: int, tag_bytes: int) -> int:
    """Entropy-coded bytes that fit into a datagram of `mtu` bytes with an SRTP tag."""
    return mtu - tag_bytes - HEADER_BYTES - _JPEG_HEADER_BYTES


def advised_interval(layout: Layout, scan_bytes: int, room: int) -> int:
    """MCUs of which half a packet is expected to hold; at most one row."""
    fits = int(room / 2 * layout.mcus / max(1, scan_bytes))
    least = -(-layout.mcus // _MOST_INTERVALS)
    return max(least, min(max(1, fits), layout.columns))


def carriable(image: bytes | Image, room: int, *, quality: int = _DEFAULT_QUALITY) -> JpegScan:
    """A scan that can be cut into packets: the JPEG as it is where possible, else encoded again.

    An array (uint8 RGB [H,W,3]) is encoded with `quality`. Raises UnsupportedImage, CorruptImage.
    """
    if isinstance(image, bytes):
        try:
            scan = JpegScan.parse(image)
        except UnsupportedImage:
            scan = None
        if scan is not None and not _turned(image):
            if _fine_enough(scan, room):
                return scan
            interval = advised_interval(scan.layout, len(scan.data), room)
            return _again(image, interval, quality)
        return _again(image, None, quality, room)
    return _encode_array(image, quality, room)


def _turned(jpeg: bytes) -> bool:
    """Whether EXIF may say that the image is not upright."""
    return b"Exif\x00\x00" in jpeg[:4096]


def _fine_enough(scan: JpegScan, room: int) -> bool:
    layout = scan.layout
    if not layout.interval or layout.intervals > _MOST_INTERVALS:
        return False
    return layout.interval <= advised_interval(layout, len(scan.data), room)


def _again(jpeg: bytes, interval: int | None, quality: int, room: int = 0) -> JpegScan:
    """Decode and encode with the image's own quantization tables where it has two."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with Pillow.open(io.BytesIO(jpeg), formats=("JPEG", "PNG", "WEBP")) as opened:
            tables: dict[int, Any] = getattr(opened, "quantization", {})
            opened.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise CorruptImage(f"the image does not decode: {error}") from error
    upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    coding: dict[str, Any] = {"quality": quality}
    if len(tables) == 2 and all(max(table) < 256 for table in tables.values()):
        coding = {"qtables": [list(tables[key]) for key in sorted(tables)]}
    if interval is None:
        interval = _interval_by_trial(upright, coding, room)
    return _encode(upright, interval, coding)


def _encode_array(image: Image, quality: int, room: int) -> JpegScan:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    coding = {"quality": quality}
    return _encode(picture, _interval_by_trial(picture, coding, room), coding)


def _interval_by_trial(picture: Any, coding: dict[str, Any], room: int) -> int:
    """What half a packet holds, from encoding the picture once at a quarter of its size."""
    small = picture.reduce(2) if min(picture.size) >= 64 else picture
    scan = _encode(small, 0, coding)
    whole = Layout(1, -(-picture.width // 8) * 8, -(-picture.height // 8) * 8)
    scale = picture.width * picture.height / (small.width * small.height)
    return advised_interval(whole, int(len(scan.data) * scale), room)


def _encode(picture: Any, interval: int, coding: dict[str, Any]) -> JpegScan:
    out = io.BytesIO()
    picture.save(
        out, "JPEG", subsampling=2, optimize=False, restart_marker_blocks=interval, **coding
    )
    return JpegScan.parse(out.getvalue())


def fragments_of(scan: JpegScan, room: int) -> list[JpegFragment]:
    """Aligned fragments of at most `room` bytes (the first less by its tables, if it has any).

    Only an interval that is larger than a packet is cut; its pieces are marked first and last.
    """
    q = quality_of(scan.tables)
    tables = scan.tables if q is None else b""
    q = TABLES_IN_BAND if q is None else q
    layout, data = scan.layout, scan.data
    if not layout.interval:
        raise UnsupportedImage("an aligned stream needs restart intervals")
    ends = [match.end() for match in RESTART.finditer(data)]
    edges = [0, *ends, len(data)]
    if len(edges) != layout.intervals + 1:
        raise CorruptImage(f"{len(edges) - 1} restart intervals, not {layout.intervals}")
    out: list[JpegFragment] = []
    index = 0
    while index < layout.intervals:
        here = room - (_TABLES_BYTES if tables and not out else 0)
        last = index + 1
        while last < layout.intervals and edges[last + 1] - edges[index] <= here:
            last += 1
        chunk = data[edges[index] : edges[last]]
        whole = JpegFragment(edges[index], layout, q, chunk, tables if not out else b"", index)
        out.extend([whole] if len(chunk) <= here else _cut(whole, here, room))
        index = last
    return out


def _cut(chunk: JpegFragment, here: int, room: int) -> list[JpegFragment]:
    """The pieces of an interval that is larger than a packet."""
    size = len(chunk.data)
    bounds = [0, *range(here, size, room), size]
    return [
        replace(
            chunk,
            offset=chunk.offset + begin,
            data=chunk.data[begin:end],
            tables=chunk.tables if begin == 0 else b"",
            first=begin == 0,
            last=end == size,
        )
        for begin, end in itertools.pairwise(bounds)
    ]
