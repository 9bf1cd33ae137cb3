"""A decoded Pillow image to RGB in strips, so that no second copy of it is ever whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

_STRIP_PIXELS = 1 << 18


def strip_bytes(pixels: int) -> int:
    """What the work on one strip of an image of so many pixels takes, in bytes; about."""
    return 12 * min(pixels, _STRIP_PIXELS)


def rgb_of(image: Image.Image, factor: int) -> npt.NDArray[np.uint8]:
    """uint8 RGB [H/factor,W/factor,3], rounded up: means of squares, alpha laid over white.

    Sixteen bits of grey become eight. Decodes the image if that is still to be done.
    """
    width, height = image.size
    image.load()
    rows = max(factor, _STRIP_PIXELS // width // factor * factor)
    out = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top in range(0, height, rows):
        strip = _rgb(image.crop((0, top, width, min(height, top + rows))))
        if factor > 1:
            strip = strip.reduce(factor)
        out[top // factor : top // factor + strip.height] = np.asarray(strip)
    return out


def _rgb(strip: Image.Image) -> Image.Image:
    from PIL import Image

    if strip.mode.startswith(("I", "F")):
        grey = np.asarray(strip).astype(np.float32) / 257.0
        strip = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    elif strip.mode in ("RGBA", "LA", "PA") or "transparency" in strip.info:
        rgba = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return strip.convert("RGB")
