"""What a lossy link does to an image, for calibration: the transport itself, with packets removed.

The image is encoded as a camera would send it, cut into packets, some are taken away, and the
receiver's own code rebuilds and conceals. Half of the images lose packets here and there, half
lose packets in a row, as in a fade. An image so small that one packet holds more than the wanted
share is cut finer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.jpeg.packetize import carriable, fragments_of, payload_room
from hawkvision.lossy.jpeg.pixels import decode_frame
from hawkvision.lossy.jpeg.rebuild import Rebuilt, rebuild
from hawkvision.lossy.wire.rtpjpeg import JpegFragment

Image = npt.NDArray[np.uint8]
_QUALITY = 92
_MTU = 1200
_TAG_BYTES = 10
_LEAST_ROOM = 64


def lose_packets(image: Image, lost: float, rng: np.random.Generator) -> Image:
    """An image (uint8 RGB [H,W,3]) of which about a share `lost` did not arrive, concealed.

    At least one packet and never all; 0 loses nothing. A `taskbuild.runs.Damage`.
    """
    if lost <= 0:
        return image
    rebuilt = without_packets(image, lost, rng)
    concealed = decode_frame(rebuilt).image
    return np.ascontiguousarray(concealed[: image.shape[0], : image.shape[1]])


def without_packets(image: Image | bytes, lost: float, rng: np.random.Generator) -> Rebuilt:
    """Packets of the image until a share `lost` of its restart intervals is gone, rebuilt."""
    room = payload_room(_MTU, _TAG_BYTES)
    scan = carriable(image, room, quality=_QUALITY)
    if lost * len(scan.data) < room:
        room = max(_LEAST_ROOM, int(lost * len(scan.data)))
        scan = carriable(image, room, quality=_QUALITY)
    fragments = fragments_of(scan, room)
    size = sum(len(fragment.data) for fragment in fragments)
    kept = _survivors(fragments, scan.layout.intervals, lost, rng)
    frame = Frame(0, scan.layout, scan.tables, kept, size, len(kept) == len(fragments), 0.0, 0.0)
    return rebuild(frame)


def _survivors(
    fragments: list[JpegFragment], intervals: int, lost: float, rng: np.random.Generator
) -> list[JpegFragment]:
    count = len(fragments)
    starts = [fragment.start or 0 for fragment in fragments] + [intervals]
    holds = np.maximum(np.diff(starts), 0)
    order = (
        rng.permutation(count)
        if rng.random() < 0.5
        else np.roll(np.arange(count), -int(rng.integers(count)))
    )
    gone = np.cumsum(holds[order])
    wanted = lost * intervals
    taken = int(np.searchsorted(gone, wanted)) + 1
    if taken > 1 and gone[taken - 1 : taken] - wanted > wanted - gone[taken - 2]:
        taken -= 1
    chosen = set(order[: max(1, min(taken, count - 1))].tolist())
    return [fragment for index, fragment in enumerate(fragments) if index not in chosen]
