"""The image formats that are read, by their first bytes and by their file names.

One list for services, data sets and tools, so that nothing counts as data here and is refused
there. Signatures: JPEG, ITU-T T.81, B.1.1.3; PNG, 3rd edition, 5.2; WebP, RFC 9649, 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format's name and its file suffixes, lower case with their dots."""

    name: str
    suffixes: tuple[str, ...]


JPEG = ImageFormat("JPEG", (".jpg", ".jpeg"))
PNG = ImageFormat("PNG", (".png",))
WEBP = ImageFormat("WebP", (".webp",))

FORMATS = (JPEG, PNG, WEBP)
SUFFIXES = frozenset(suffix for one in FORMATS for suffix in one.suffixes)
READABLE = "JPEG, PNG or WebP"

OTHER_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".ppm", ".tif", ".tiff"}
)
"""Images in formats that are not read; only to say so to whoever has some."""


def format_of(data: bytes) -> ImageFormat | None:
    """The format that the first bytes announce, None for any other."""
    if data[:3] == b"\xff\xd8\xff":
        return JPEG
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    return None
