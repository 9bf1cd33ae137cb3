"""PNG to RGB by Pillow, which is given nothing but the chunks that make the picture.

Text, profiles and the frames of an animation cost memory, time and faults, and change no pixel of
the still picture. Source: PNG, 3rd edition (W3C), 5 and 11.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.images.exif import orientation
from hawkvision.images.limits import ImageLimits, broken, check_pixels, too_many_segments
from hawkvision.images.strips import rgb_of, strip_bytes

_SIGNATURE = 8
_FRAME = 12
"""Bytes of a chunk besides its content: length, name, CRC."""

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_GREY, _PALETTE = 0, 3


@dataclass(frozen=True, slots=True)
class PngSource:
    """A PNG that is within the limits; `data` holds the chunks of the picture alone."""

    data: bytes
    width: int
    height: int
    depth: int
    colour: int
    orientation: int

    @classmethod
    def open(cls, data: bytes, limits: ImageLimits) -> PngSource:
        """Raises PayloadTooLarge or CorruptImage."""
        if data[12:16] != b"IHDR" or len(data) < 33:
            raise broken("it does not begin with IHDR")
        width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
        if not width or not height:
            raise broken(f"it declares {width}x{height} pixels")
        check_pixels(width, height, limits)
        picture, exif = _chunks(data, limits)
        return cls(picture, width, height, depth, colour, orientation(exif) if exif else 1)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px as stored, not turned."""
        return self.width, self.height

    @property
    def work(self) -> int:
        """Pixels that decoding goes through."""
        return self.width * self.height

    def peak_bytes(self, factor: int) -> int:
        """What decoding takes at its peak, besides the file, in bytes; about."""
        each = 1 + (self.depth == 16) if self.colour in (_GREY, _PALETTE) else 4
        pixels = self.width * self.height
        out = pixels // factor**2 * 3 * (1 + (self.orientation != 1))
        return len(self.data) + pixels * each + out + strip_bytes(pixels)

    def pixels(self, factor: int) -> npt.NDArray[np.uint8]:
        """uint8 RGB [H,W,3], reduced by `factor` and as stored. Raises CorruptImage."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(self.data), formats=("PNG",)) as image:
                return rgb_of(image, factor)
        except Image.DecompressionBombError as error:
            raise broken(str(error)) from error
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
            raise broken(str(error)) from error


def _chunks(data: bytes, limits: ImageLimits) -> tuple[bytes, bytes]:
    """The chunks of the picture, as they were, and the content of the first eXIf."""
    view, exif = memoryview(data), b""
    kept: list[memoryview] = []
    start, at = 0, _SIGNATURE
    number, total = 0, len(data)
    while at + _FRAME <= total:
        number += 1
        if number > limits.max_segments:
            raise too_many_segments("PNG", limits.max_segments)
        size = int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        after = at + _FRAME + size
        if name not in _PICTURE:
            kept.append(view[start:at])
            start = after
            if name == b"eXIf" and not exif:
                exif = data[at + 8 : at + 8 + size]
        at = after
        if name == b"IEND":
            break
    if not kept:
        return data, exif
    return b"".join([*kept, view[start:at]]), exif
