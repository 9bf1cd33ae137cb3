"""Decode JPEG, PNG and WebP to RGB, with limits that hold before memory or time is taken.

What is accepted costs at most about 0.1 s of CPU for a megapixel and 0.05 s for a megabyte of file,
on one core of a server of 2020, whatever its inside holds; `tests/images/test_costs.py` holds that
against the cost of a plain photo. Memory: at most 16 bytes a pixel besides the file,
and that of all decodes of the process together is bounded (`budget.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hawkvision.errors import Overloaded, PayloadTooLarge, UnsupportedImage
from hawkvision.formats import JPEG, PNG, READABLE, format_of
from hawkvision.images.budget import BUDGET
from hawkvision.images.exif import turns, upright
from hawkvision.images.geometry import InputGeometry, fit
from hawkvision.images.jpeg import JpegSource
from hawkvision.images.limits import DEFAULT_LIMITS, ImageLimits
from hawkvision.images.placement import Placement, fitted, reduced
from hawkvision.images.png import PngSource
from hawkvision.images.webp import WebpSource

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
Weigh = Callable[[int], None]
"""Told how many pixels will be gone through before any is; it may raise."""

Result = TypeVar("Result")


def decode(data: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, min_side: int = 0) -> Pixels:
    """Decode to uint8 RGB [H,W,3], upright as EXIF says; alpha is laid over white.

    With `min_side`, it may come back reduced by 2, 4 or 8 as long as both sides stay at or above
    it. An animation gives its first frame. Raises PayloadTooLarge (limits), UnsupportedImage (no
    format we read), CorruptImage (does not decode), Overloaded (no memory for it now).
    """
    return _read(data, limits, min_side, lambda image, _: image)


def prepare(
    data: bytes,
    geometry: InputGeometry,
    limits: ImageLimits = DEFAULT_LIMITS,
    weigh: Weigh | None = None,
) -> Pixels:
    """An encoded image as a network takes it, uint8 [geometry.height, geometry.width, 3].

    Raises as `decode`.
    """
    side = max(geometry.width, geometry.height)
    return _read(data, limits, side, lambda image, _: fit(image, geometry), weigh)


def place(
    data: bytes, geometry: InputGeometry, limits: ImageLimits = DEFAULT_LIMITS
) -> tuple[Pixels, Placement]:
    """As `prepare`, and where these pixels lie in the upright image that was sent."""

    def fitted_and_placed(image: Pixels, full: Size) -> tuple[Pixels, Placement]:
        height, width = image.shape[:2]
        placement = fitted(width, height, geometry).within(reduced(width, height, *full))
        return fit(image, geometry), placement

    return _read(data, limits, max(geometry.width, geometry.height), fitted_and_placed)


def _read(
    data: bytes,
    limits: ImageLimits,
    min_side: int,
    use: Callable[[Pixels, Size], Result],
    weigh: Weigh | None = None,
) -> Result:
    """What `use` makes of upright pixels and the (width, height) of the image before reduction.

    The pixels' memory is held in the process's budget until then.
    """
    source = open_source(data, limits)
    if weigh is not None:
        weigh(source.work)
    width, height = source.size
    factor, least = 1, min(width, height)
    if min_side > 0:
        while factor < 8 and least >= 2 * factor * min_side:
            factor *= 2
    orientation = source.orientation
    with BUDGET.hold(source.peak_bytes(factor), limits.max_decode_bytes):
        try:
            image = source.pixels(factor)
        except MemoryError as error:
            raise Overloaded(
                "there is no memory to decode the image now",
                hint="Retry after the time in Retry-After, or send a smaller image.",
            ) from error
        if orientation == 1:
            return use(image, (width, height))
        full = (height, width) if turns(orientation) else (width, height)
        return use(upright(image, orientation), full)


def open_source(data: bytes, limits: ImageLimits) -> JpegSource | PngSource | WebpSource:
    """What holds the image, its header read and within the limits. Raises the image errors."""
    if len(data) > limits.max_bytes:
        raise PayloadTooLarge(
            f"the image has {len(data)} bytes; the limit is {limits.max_bytes}",
            hint="Send a smaller or more strongly compressed image.",
        )
    found = format_of(data)
    if found is None:
        raise UnsupportedImage(
            "the body is not an image in a format we read", hint=f"Send {READABLE}."
        )
    if found is JPEG:
        return JpegSource.open(data, limits)
    return PngSource.open(data, limits) if found is PNG else WebpSource.open(data, limits)
