"""What an image may be and cost: all of it is checked before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.errors import CorruptImage, PayloadTooLarge
from hawkvision.images.memory import usable_bytes

_MOST_PIXELS = 36_000_000
_LEAST_PIXELS = 1_000_000
_BYTES_PER_PIXEL = 64
"""Of the machine's memory for each pixel that is accepted. No format takes over 16 at its peak, so
that every accepted image fits into the quarter that decoding may have."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Largest accepted image, and what decoding may cost.

    `max_bytes` counts encoded bytes, `max_pixels` what the header declares. `max_decode_bytes` is
    the memory of all decodes of this process together. `max_scans` bounds how often the scans of a
    JPEG go through its blocks on average, `max_segments` the parts of a file: segments of a JPEG,
    chunks of a PNG or WebP.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = _MOST_PIXELS
    max_decode_bytes: int = 1024 * 1024 * 1024
    max_scans: int = 32
    max_segments: int = 16_384

    @classmethod
    def of_machine(cls, memory: int | None = None) -> ImageLimits:
        """The defaults of a service on a machine with so many bytes of memory (None: this one)."""
        memory = usable_bytes() if memory is None else memory
        pixels = min(_MOST_PIXELS, max(_LEAST_PIXELS, memory // _BYTES_PER_PIXEL))
        return cls(max_pixels=pixels, max_decode_bytes=max(16 * pixels, memory // 4))


DEFAULT_LIMITS = ImageLimits()


def check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    """Raises PayloadTooLarge for more pixels than the limit."""
    if width * height > limits.max_pixels:
        raise PayloadTooLarge(
            f"the image is {width}x{height} pixels; the limit is {limits.max_pixels} pixels",
            hint="Scale the image down before sending.",
        )


def too_many_segments(what: str, most: int) -> PayloadTooLarge:
    """For a file of more parts than the limit."""
    return PayloadTooLarge(
        f"the {what} has more than {most} segments", hint="Save it again without its metadata."
    )


def broken(why: str) -> CorruptImage:
    """For a format that we read and content that does not decode."""
    return CorruptImage(
        f"the image does not decode: {why}", hint="Check that the whole file was sent."
    )
