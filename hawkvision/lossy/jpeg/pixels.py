"""Pixels of a rebuilt frame, what is lost of it concealed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.errors import CorruptImage
from hawkvision.images import DEFAULT_LIMITS, ImageLimits, decode
from hawkvision.images.budget import BUDGET
from hawkvision.lossy.jpeg.conceal import GREY, from_previous, interpolate
from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.rebuild import Lost, Rebuilt

Image = npt.NDArray[np.uint8]
_CONCEALED_QUALITY = 92


@dataclass(frozen=True)
class Pixels:
    """`image` uint8 RGB [H,W,3]; `lost` as in Rebuilt, also where only a prefix arrived.

    `garbled`: a whole frame that does not decode cleanly, as from a camera whose Huffman tables
    RTP/JPEG does not carry.
    """

    image: Image
    lost: Lost | None
    garbled: bool = False

    @property
    def lost_fraction(self) -> float:
        """The share of the image that did not arrive."""
        return 0.0 if self.lost is None else float(self.lost.mean())


def decode_frame(
    rebuilt: Rebuilt,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    min_side: int = 0,
    previous: Image | None = None,
) -> Pixels:
    """Decode and conceal. With `min_side` as in `images.decode`; `previous` is the frame before.

    Raises CorruptImage, PayloadTooLarge, Overloaded.
    """
    garbled = False
    try:
        if rebuilt.prefix_only:
            image = _forgiving(rebuilt, limits, min_side)
        else:
            image = decode(rebuilt.jpeg, limits, min_side=min_side)
    except CorruptImage:
        image, garbled = _forgiving(rebuilt, limits, min_side), True
    block = _block(rebuilt.layout, image)
    lost = _grey_tail(image, rebuilt.layout, block) if rebuilt.prefix_only else rebuilt.lost
    if lost is None or not lost.any():
        return Pixels(image, None, garbled)
    filled = None if previous is None else from_previous(image, lost, block, previous)
    return Pixels(interpolate(image, lost, block) if filled is None else filled, lost, garbled)


def concealed_jpeg(rebuilt: Rebuilt, limits: ImageLimits = DEFAULT_LIMITS) -> bytes:
    """A JPEG of the whole-size image with what is lost concealed, for the data center."""
    if rebuilt.complete:
        return rebuilt.jpeg
    image = np.ascontiguousarray(decode_frame(rebuilt, limits).image)
    return bytes(
        simplejpeg.encode_jpeg(
            image, quality=_CONCEALED_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
    )


def _forgiving(rebuilt: Rebuilt, limits: ImageLimits, min_side: int) -> Image:
    """Decode what libjpeg can make of it; missing MCUs at the end are grey."""
    layout, factor = rebuilt.layout, 1
    side = min(layout.width, layout.height)
    while min_side and factor < 8 and side >= 2 * factor * min_side:
        factor *= 2
    height, width = -(-layout.height // factor), -(-layout.width // factor)
    with BUDGET.hold(3 * height * width, limits.max_decode_bytes):
        try:
            image: Image = simplejpeg.decode_jpeg(
                rebuilt.jpeg, "RGB", min_height=height, min_width=width, strict=False
            )
        except ValueError as error:
            raise CorruptImage(f"the frame does not decode: {error}") from error
    return image


def _block(layout: Layout, image: Image) -> tuple[int, int]:
    """Height and width of an MCU in a perhaps reduced image."""
    factor = max(1, round(layout.width / image.shape[1]))
    return max(1, layout.mcu_height // factor), max(1, layout.mcu_width // factor)


def _grey_tail(image: Image, layout: Layout, block: tuple[int, int]) -> Lost:
    """MCUs from the last that shows anything on: it may be cut, and the rest is libjpeg's grey.

    Chroma is interpolated across borders, so only the inside of an MCU counts.
    """
    high, wide = block
    shape = (layout.rows * high, layout.columns * wide)
    grey = np.ones(shape, np.bool_)
    height, width = min(shape[0], image.shape[0]), min(shape[1], image.shape[1])
    grey[:height, :width] = (image[:height, :width] == GREY).all(axis=2)
    margin = 2 if min(high, wide) >= 8 else min(high, wide) // 4
    inside = slice(margin, high - margin), slice(margin, wide - margin)
    blocks = grey.reshape(layout.rows, high, layout.columns, wide)
    plain = blocks[:, inside[0], :, inside[1]].all(axis=(1, 3)).ravel()
    shown = np.flatnonzero(~plain)
    lost = np.zeros(layout.mcus, np.bool_)
    lost[(shown[-1] if len(shown) else 0) :] = True
    return lost.reshape(layout.rows, layout.columns)
