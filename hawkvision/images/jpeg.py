"""JPEG to RGB: libjpeg-turbo (simplejpeg), reduced in the DCT domain; four colours by Pillow."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.errors import CorruptImage
from hawkvision.images.exif import orientation
from hawkvision.images.jpeg_markers import JpegStructure, is_whole, walk, without_strays
from hawkvision.images.limits import ImageLimits, broken, check_pixels
from hawkvision.images.strips import rgb_of, strip_bytes

_STRAY_BYTES = re.compile(r"extraneous bytes before marker 0x(d[0-79])\b")
_BLOCK_BYTES = 64 * 2
"""Of one 8x8 block of coefficients, where these are kept for the whole image."""


@dataclass(frozen=True, slots=True)
class JpegSource:
    """A JPEG whose structure is known and within the limits."""

    data: bytes
    structure: JpegStructure

    @classmethod
    def open(cls, data: bytes, limits: ImageLimits) -> JpegSource:
        """Raises PayloadTooLarge or CorruptImage."""
        structure = walk(data, max_scans=limits.max_scans, max_segments=limits.max_segments)
        if structure.strays:
            data, structure = without_strays(data, structure)
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise broken(str(error)) from error
        check_pixels(width, height, limits)
        if (width, height) != (structure.frame.width, structure.frame.height):
            raise CorruptImage("the JPEG's size is ambiguous", hint="Encode the image again.")
        return cls(data, structure)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px as stored, not turned."""
        return self.structure.frame.width, self.structure.frame.height

    @property
    def orientation(self) -> int:
        """1 to 8, as EXIF has it."""
        return orientation(self.structure.exif) if self.structure.exif else 1

    @property
    def work(self) -> int:
        """Pixels that decoding goes through; those of several passes count half each time."""
        frame = self.structure.frame
        pixels = frame.width * frame.height
        if not self.structure.buffered:
            return pixels
        return max(pixels, pixels * self.structure.visits // (2 * frame.blocks))

    def peak_bytes(self, factor: int) -> int:
        """What decoding takes at its peak, besides the file, in bytes; about."""
        structure = self.structure
        frame = structure.frame
        pixels = frame.width * frame.height // factor**2
        coefficients = frame.blocks * _BLOCK_BYTES if structure.buffered else 0
        turned = 3 * pixels * (self.orientation != 1)
        if frame.components == 4:
            return pixels * 4 + max(coefficients, 3 * pixels + turned) + strip_bytes(pixels)
        return pixels * 3 + max(coefficients, turned)

    def pixels(self, factor: int) -> npt.NDArray[np.uint8]:
        """uint8 RGB [H,W,3], reduced by 1, 2, 4 or 8 and as stored. Raises CorruptImage."""
        if self.structure.frame.components == 4:
            return self._four_colours(factor)
        try:
            return self._decode(factor, strict=True)
        except ValueError as error:
            if not self._skips_strays(str(error)):
                raise broken(str(error)) from error
        try:
            return self._decode(factor, strict=False)
        except ValueError as error:
            raise broken(str(error)) from error

    def _skips_strays(self, fault: str) -> bool:
        """Whether nothing is wrong but bytes before a marker, as webcams leave them.

        libjpeg names the first fault only. Before EOI it is the last one too; where restart
        markers are expected more may follow, so none may be missing.
        """
        found = _STRAY_BYTES.search(fault)
        if found is None:
            return False
        if found[1] == "d9" and not self.structure.interval:
            return True
        return is_whole(self.data, self.structure)

    def _decode(self, factor: int, *, strict: bool) -> npt.NDArray[np.uint8]:
        width, height = self.size
        image: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            self.data,
            "RGB",
            min_height=-(-height // factor),
            min_width=-(-width // factor),
            strict=strict,
        )
        return image

    def _four_colours(self, factor: int) -> npt.NDArray[np.uint8]:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(self.data), formats=("JPEG",)) as image:
                width, height = self.size
                image.draft(None, (max(1, width // factor), max(1, height // factor)))
                return rgb_of(image, 1)
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise broken(str(error)) from error
