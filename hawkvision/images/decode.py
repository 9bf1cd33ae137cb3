"""Decode JPEG, PNG and WebP to RGB, with limits that hold before memory is taken.

JPEG goes through libjpeg-turbo (simplejpeg), reduced in the DCT domain where the network needs
less than half of the image's side; the rest, and JPEG of rare colour spaces, through Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.errors import CorruptImage, HawkVisionError, PayloadTooLarge, UnsupportedImage

_READABLE = "Send JPEG, PNG or WebP."
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Largest accepted image: encoded bytes, and pixels as its header declares them."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 36_000_000


DEFAULT_LIMITS = ImageLimits()


def decode(
    data: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, min_side: int = 0
) -> npt.NDArray[np.uint8]:
    """Decode to uint8 RGB [H,W,3], upright as EXIF says; alpha is laid over white.

    With `min_side`, a JPEG may come back reduced by 2, 4 or 8 as long as both sides stay at or
    above it. An animation gives its first frame. Raises PayloadTooLarge (limits),
    UnsupportedImage (no format we read), CorruptImage (does not decode).
    """
    return decode_placed(data, limits, min_side=min_side)[0]


def decode_placed(
    data: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, min_side: int = 0
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """As `decode`, and (width, height) in px of the whole image, upright, before any reduction."""
    if len(data) > limits.max_bytes:
        raise PayloadTooLarge(
            f"the image has {len(data)} bytes; the limit is {limits.max_bytes}",
            hint="Send a smaller or more strongly compressed image.",
        )
    if data[:3] == b"\xff\xd8\xff":
        return _decode_jpeg(data, limits, min_side)
    if data[:8] == b"\x89PNG\r\n\x1a\n" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        image = _decode_pillow(data, limits)
        return image, (image.shape[1], image.shape[0])
    raise UnsupportedImage("the body is not an image in a format we read", hint=_READABLE)


def _check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise PayloadTooLarge(
            f"the image is {width}x{height} pixels; the limit is {limits.max_pixels} pixels",
            hint="Scale the image down before sending.",
        )


def _corrupt(error: Exception) -> HawkVisionError:
    return CorruptImage(
        f"the image does not decode: {error}", hint="Check that the whole file was sent."
    )


def _decode_jpeg(
    data: bytes, limits: ImageLimits, min_side: int
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise _corrupt(error) from error
    _check_pixels(width, height, limits)
    if colour in ("CMYK", "YCCK"):
        upright = _decode_pillow(data, limits)
        return upright, (upright.shape[1], upright.shape[0])
    factor = 1
    if min_side > 0:
        while factor < 8 and min(height, width) >= 2 * factor * min_side:
            factor *= 2
    try:
        image: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=-(-height // factor), min_width=-(-width // factor)
        )
    except ValueError as error:
        raise _corrupt(error) from error
    if b"Exif\x00\x00" in data[:4096]:
        image, turned = _upright(image, data)
        return image, (height, width) if turned else (width, height)
    return image, (width, height)


def _upright(image: npt.NDArray[np.uint8], data: bytes) -> tuple[npt.NDArray[np.uint8], bool]:
    """Apply the EXIF orientation (EXIF 2.32, tag 0x0112); whether width and height changed places.

    A broken EXIF block is ignored.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as header:
            orientation = header.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, struct.error):
        return image, False
    turned = orientation in (5, 6, 7, 8)
    if turned:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image), turned


def _decode_pillow(data: bytes, limits: ImageLimits) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            _check_pixels(image.width, image.height, limits)
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(upright)
    except HawkVisionError:
        raise
    except Image.DecompressionBombError as error:
        raise PayloadTooLarge(str(error), hint="Scale the image down before sending.") from error
    except UnidentifiedImageError as error:
        raise _corrupt(error) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise _corrupt(error) from error


def _to_rgb(image: object) -> npt.NDArray[np.uint8]:
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image).astype(np.float32)
        scaled = np.clip(grey / 257.0, 0, 255).astype(np.uint8)
        return np.repeat(scaled[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(image.convert("RGB"), np.uint8)
