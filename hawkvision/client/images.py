"""An image in any form that callers have it, as the encoded bytes that an agent takes.

Pixels are encoded as JPEG of quality 95 without chroma subsampling: agents read that fastest, it is
what most calibration images were, and it is several times smaller than PNG on the way up. Who wants
pixels untouched encodes them as PNG or WebP and gives the bytes.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.errors import UnsupportedImage

if TYPE_CHECKING:
    import PIL.Image

QUALITY = 95
_PLAIN_MODES = ("RGB", "L")

Image: TypeAlias = (
    "bytes | bytearray | memoryview | str | Path | npt.NDArray[np.uint8] | PIL.Image.Image"
)
"""Encoded bytes, the path of a file, uint8 RGB [H,W,3] (OpenCV's arrays are BGR), or Pillow's."""


def encoded(image: Image) -> bytes:
    """The bytes to send.

    A Pillow image is turned upright as its EXIF block says; one with an alpha channel or a palette
    goes as PNG. Raises OSError for a file that cannot be read, UnsupportedImage for anything that
    is no image.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        return Path(image).read_bytes()
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _jpeg(image)
    if "PIL.Image" in sys.modules and isinstance(image, sys.modules["PIL.Image"].Image):
        return _of_pillow(image)
    raise UnsupportedImage(
        f"a {type(image).__name__} is no image",
        hint="Give bytes, a path, an array of uint8 [H,W,3] or a Pillow image.",
    )


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UnsupportedImage(
            f"an array of {pixels.dtype} {list(pixels.shape)} is no image",
            hint="Give uint8 [H,W,3], red first.",
        )
    try:
        return bytes(
            simplejpeg.encode_jpeg(
                np.ascontiguousarray(pixels),
                quality=QUALITY,
                colorspace="RGB",
                colorsubsampling="444",
            )
        )
    except ValueError as error:  # a side beyond what JPEG can hold
        raise UnsupportedImage(f"the array does not encode: {error}") from error


def _of_pillow(image: PIL.Image.Image) -> bytes:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode in _PLAIN_MODES and "transparency" not in upright.info:
        return _jpeg(np.asarray(upright.convert("RGB")))
    out = io.BytesIO()
    upright.save(out, "PNG")
    return out.getvalue()
