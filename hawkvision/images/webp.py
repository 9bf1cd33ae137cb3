"""WebP to RGB by OpenCV, which writes libwebp's pixels where they are read, without copies.

Of an animation the first frame alone is given to it. Sources: RFC 9649 (WebP), 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from hawkvision.images.exif import orientation
from hawkvision.images.limits import ImageLimits, broken, check_pixels, too_many_segments

_ALPHA_FLAG = 0x10
_STRIP_ROWS = 16
_LEAST_BYTES = 32
"""OpenCV does not look at fewer; an image of one colour may have 28. What follows is ignored."""

_TAG = 8
"""Bytes before a chunk's content: name, length."""

Chunks = list[tuple[bytes, memoryview]]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class WebpSource:
    """A WebP that is within the limits.

    `still` is a file of its own that holds the picture, or an animation's first frame: `frame`
    (width, height) px at `offset` (x, y) on a canvas of `size`.
    """

    still: bytes
    size: tuple[int, int]
    frame: tuple[int, int]
    offset: tuple[int, int]
    alpha: bool
    lossless: bool
    orientation: int

    @classmethod
    def open(cls, data: bytes, limits: ImageLimits) -> WebpSource:
        """Raises PayloadTooLarge or CorruptImage."""
        try:
            return cls._open(data, limits)
        except (struct.error, IndexError) as error:
            raise broken("it ends too early") from error

    @classmethod
    def _open(cls, data: bytes, limits: ImageLimits) -> WebpSource:
        size: tuple[int, int] | None = None
        offset, exif = (0, 0), b""
        picture: Chunks = []
        for name, body in _chunks(memoryview(data), 12, limits.max_segments):
            if name == b"VP8X" and size is None:
                size = _number(body, 4) + 1, _number(body, 7) + 1
            elif name == b"ANMF" and not picture:
                offset = 2 * _number(body, 0), 2 * _number(body, 3)
                picture = _picture(_chunks(body, 16, limits.max_segments))
            elif name in (b"ALPH", b"VP8 ", b"VP8L") and not _complete(picture):
                picture.append((name, body))
            elif name == b"EXIF" and not exif:
                exif = bytes(body)
            if size is None:
                break  # without VP8X there is one chunk
        if not _complete(picture):
            raise broken("it holds no picture")
        name, body = picture[-1]
        lossless = name == b"VP8L"
        width, height, alpha = _vp8l(body) if lossless else (*_vp8(body), len(picture) > 1)
        size = size or (width, height)
        check_pixels(*size, limits)
        if offset[0] + width > size[0] or offset[1] + height > size[1]:
            raise broken("a frame lies outside of its canvas")
        still = _still(picture, width, height)
        turned = orientation(exif) if exif else 1
        return cls(still, size, (width, height), offset, alpha, lossless, turned)

    @property
    def work(self) -> int:
        """Pixels that decoding goes through."""
        return self.size[0] * self.size[1]

    def peak_bytes(self, factor: int) -> int:
        """What decoding takes at its peak, besides the file, in bytes; about."""
        canvas = self.size[0] * self.size[1]
        frame = self.frame[0] * self.frame[1]
        out = 3 * canvas // factor**2 * (1 + (self.orientation != 1))
        # OpenCV writes into one array and copies to another; VP8L has one of its own besides.
        each = 7 + self.alpha if self.lossless else 6 + 3 * self.alpha
        decoded = frame * (3 + self.alpha) + 3 * canvas * (self.frame != self.size)
        return len(self.still) + max(frame * each, decoded + out)

    def pixels(self, factor: int) -> Pixels:
        """uint8 RGB [H,W,3], reduced by `factor` and as stored. Raises CorruptImage."""
        try:
            coded = np.frombuffer(self.still.ljust(_LEAST_BYTES, b"\0"), np.uint8)
            image = cast(Pixels | None, cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))
        except cv2.error as error:
            raise broken(error.err) from error
        if image is None or image.shape[:2] != self.frame[::-1]:
            raise broken("its data are damaged or cut")
        if image.shape[2] == 4:
            _over_white(image)
        if self.frame != self.size:
            image = self._placed(image)
        if factor > 1:
            size = -(-self.size[0] // factor), -(-self.size[1] // factor)
            image = cast(Pixels, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        if image.shape[2] == 4:
            return cast(Pixels, cv2.cvtColor(image, cv2.COLOR_BGRA2RGB))
        return cast(Pixels, cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image))

    def _placed(self, frame: Pixels) -> Pixels:
        canvas = np.full((self.size[1], self.size[0], 3), 255, np.uint8)
        x, y = self.offset
        canvas[y : y + frame.shape[0], x : x + frame.shape[1]] = frame[:, :, :3]
        return canvas


def _over_white(image: Pixels) -> None:
    """Lay BGRA [H,W,4] over white, in place and by strips."""
    for top in range(0, len(image), _STRIP_ROWS):
        strip = image[top : top + _STRIP_ROWS]
        alpha = strip[:, :, 3:].astype(np.uint32)
        colours = strip[:, :, :3] * alpha + 255 * (255 - alpha)
        strip[:, :, :3] = (colours + 127) // 255


def _chunks(data: memoryview, at: int, most: int) -> Iterator[tuple[bytes, memoryview]]:
    """Names and contents of the chunks from `at` on. Raises PayloadTooLarge, CorruptImage."""
    number = 0
    while at + _TAG <= len(data):
        number += 1
        if number > most:
            raise too_many_segments("WebP", most)
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + _TAG + size > len(data):
            raise broken("it ends too early")
        yield bytes(data[at : at + 4]), data[at + _TAG : at + _TAG + size]
        at += _TAG + size + size % 2


def _picture(chunks: Iterator[tuple[bytes, memoryview]]) -> Chunks:
    """The chunks of one picture: its alpha plane, if it has one, and the colours."""
    found: Chunks = []
    for name, body in chunks:
        if name in (b"ALPH", b"VP8 ", b"VP8L"):
            found.append((name, body))
        if _complete(found):
            break
    return found


def _complete(picture: Chunks) -> bool:
    return bool(picture) and picture[-1][0] != b"ALPH"


def _number(body: memoryview, at: int) -> int:
    return int.from_bytes(body[at : at + 3], "little")


def _vp8(body: memoryview) -> tuple[int, int]:
    """Width and height in px (RFC 6386, 9.1)."""
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _vp8l(body: memoryview) -> tuple[int, int, bool]:
    """Width and height in px, and whether alpha is used (RFC 9649, 3.4)."""
    (bits,) = struct.unpack_from("<I", body, 1)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)


def _still(picture: Chunks, width: int, height: int) -> bytes:
    """A WebP file of these chunks alone."""
    pieces: list[bytes | memoryview] = []
    if len(picture) > 1:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        pieces += [struct.pack("<4sII", b"VP8X", 10, _ALPHA_FLAG), sides]
    for name, body in picture:
        pieces += [struct.pack("<4sI", name, len(body)), body, bytes(len(body) % 2)]
    size = 4 + sum(len(piece) for piece in pieces)
    return b"".join([struct.pack("<4sI4s", b"RIFF", size, b"WEBP"), *pieces])
