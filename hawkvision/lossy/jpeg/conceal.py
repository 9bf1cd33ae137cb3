"""Fill what is lost of a decoded image: from its neighbourhood, or from the frame before.

Everything works on blocks, one for each MCU, for all lost blocks at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Lost = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
GREY = 128

STATIC_LEVELS = 6.0
"""Mean difference of what arrived, in grey levels, up to which a scene counts as unchanged."""


_AT_ONCE = 2048
"""Lost blocks filled at a time, which bounds the memory for hostile pictures."""


class _Side(NamedTuple):
    """For L lost blocks: the pixel line next to them in one direction [L], and weights [L,size]."""

    edge: npt.NDArray[np.intp]
    weights: Floats


def interpolate(image: Image, lost: Lost, block: tuple[int, int]) -> Image:
    """Fill lost blocks from the nearest pixels above, below, left and right of each.

    `image` uint8 [H,W,3], `lost` bool [R,C], `block` height and width in px, R and C of which
    cover the image. Weights are the inverse squares of the distances; grey where nothing arrived.
    """
    if lost.all():
        return np.full_like(image, GREY)
    rows, columns = np.nonzero(lost)
    if not len(rows):
        return image
    high, wide = block
    height, width = image.shape[:2]
    padded = _whole_blocks(image, lost.shape, block)
    sides = (
        _sides(lost, rows, columns, high, axis=0),
        _sides(lost, rows, columns, wide, axis=1),
    )
    blocks = padded.reshape(lost.shape[0], high, lost.shape[1], wide, 3).transpose(0, 2, 1, 3, 4)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        filled = _filled(padded, rows[part], columns[part], sides, part)
        blocks[rows[part], columns[part]] = filled
    return padded[:height, :width]


def _filled(
    image: Image,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    sides: tuple[list[_Side], list[_Side]],
    part: slice,
) -> Image:
    """The blocks [L,h,w,3] at these places, interpolated."""
    high, wide = sides[0][0].weights.shape[1], sides[1][0].weights.shape[1]
    across, down = np.arange(wide), np.arange(high)
    out = np.zeros((len(rows), high, wide, 3), np.float32)
    weight = np.zeros((len(rows), high, wide), np.float32)
    for side in sides[0]:
        line = image[side.edge[part, None], columns[:, None] * wide + across].astype(np.float32)
        out += side.weights[part, :, None, None] * line[:, None]
        weight += side.weights[part, :, None]
    for side in sides[1]:
        line = image[rows[:, None] * high + down, side.edge[part, None]].astype(np.float32)
        out += side.weights[part, None, :, None] * line[:, :, None]
        weight += side.weights[part, None, :]
    isolated = weight[:, 0, 0] == 0
    weight[isolated] = 1
    out[isolated] = GREY
    out /= weight[..., None]
    out += 0.5
    return out.astype(np.uint8)


def _sides(
    lost: Lost, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], size: int, *, axis: int
) -> list[_Side]:
    """Both directions along an axis: the nearest pixel line there is, and its weights."""
    count = lost.shape[axis]
    along = np.arange(count, dtype=np.intp).reshape((-1, 1) if axis == 0 else (1, -1))
    before = np.maximum.accumulate(np.where(lost, -1, along), axis=axis)[rows, columns]
    ahead = np.where(lost, count, along)
    after = np.flip(np.minimum.accumulate(np.flip(ahead, axis), axis=axis), axis)[rows, columns]
    own = rows if axis == 0 else columns
    step = np.arange(size)
    sides: list[_Side] = []
    for block, line, distance in (
        (before, before * size + size - 1, (own - before - 1)[:, None] * size + step + 1),
        (after, after * size, (after - own)[:, None] * size - step),
    ):
        there = (block >= 0) & (block < count)
        weights = np.where(there[:, None], 1.0 / np.square(distance, dtype=np.float32), 0)
        sides.append(_Side(np.where(there, line, 0), weights.astype(np.float32)))
    return sides


def _whole_blocks(image: Image, blocks: tuple[int, ...], block: tuple[int, int]) -> Image:
    """A copy whose sides are whole numbers of blocks, the last lines repeated."""
    low = blocks[0] * block[0] - image.shape[0]
    right = blocks[1] * block[1] - image.shape[1]
    if low <= 0 and right <= 0:
        return image[: blocks[0] * block[0], : blocks[1] * block[1]].copy()
    return np.pad(image, ((0, max(0, low)), (0, max(0, right)), (0, 0)), mode="edge")


def from_previous(
    image: Image, lost: Lost, block: tuple[int, int], previous: Image
) -> Image | None:
    """Fill lost blocks from the frame before where the scene has not changed, else None.

    `previous` has the shape of `image`. Unchanged is judged on what arrived.
    """
    if previous.shape != image.shape or lost.all():
        return None
    height, width = image.shape[:2]
    missing = lost.repeat(block[0], axis=0).repeat(block[1], axis=1)[:height, :width]
    apart = np.abs(image[::2, ::2].astype(np.int16) - previous[::2, ::2])
    if float(apart[~missing[::2, ::2]].mean()) > STATIC_LEVELS:
        return None
    out = image.copy()
    np.copyto(out, previous, where=missing[..., None])
    return out
