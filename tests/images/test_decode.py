"""Real encoded images in, upright RGB out, limits first."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hawkvision.errors import CorruptImage, HawkVisionError, PayloadTooLarge, UnsupportedImage
from hawkvision.images import ImageLimits, decode
from tests.models import coloured_jpeg


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """An asymmetric picture, so that a wrong turn shows."""
    image = Image.new("RGB", (width, height), (30, 60, 90))
    image.paste((220, 20, 20), (0, 0, width // 2, height // 4))
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats_decode_to_the_same_picture(kind: str) -> None:
    options = {"quality": 95} if kind != "PNG" else {}
    image = decode(encoded(scene(), kind, **options))
    assert image.shape == (40, 60, 3)
    assert np.abs(image.astype(int) - np.asarray(scene()).astype(int)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), "JPEG", exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    image = decode(data)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright.astype(int)).mean() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_is_ignored() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode(data).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("P", "PNG")]
)
def test_other_colour_spaces_become_rgb(mode: str, kind: str) -> None:
    image = decode(encoded(scene().convert(mode), kind))
    assert image.shape == (40, 60, 3)


def test_16_bit_grey_keeps_its_brightness() -> None:
    grey = Image.fromarray(np.full((20, 20), 40_000, np.uint16))
    assert abs(int(decode(encoded(grey, "PNG")).mean()) - 40_000 // 257) <= 1


def test_alpha_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert decode(encoded(clear, "PNG")).min() == 255


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    image = decode(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert image[8, 8, 0] > 200 > image[8, 8, 2]


def test_a_truncated_jpeg_is_corrupt() -> None:
    whole = coloured_jpeg("red", size=(300, 200))
    with pytest.raises(CorruptImage):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize("data", [b"", b"x", b"GIF89a" + bytes(50), b"%PDF-1.7", bytes(100)])
def test_other_bytes_are_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        decode(data)


def test_too_many_bytes_are_refused_unread() -> None:
    with pytest.raises(PayloadTooLarge):
        decode(bytes(1001), ImageLimits(max_bytes=1000))


def test_a_png_bomb_is_refused_by_its_header() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2**16), 9)
    with pytest.raises(PayloadTooLarge):
        decode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows))


def test_a_jpeg_bomb_is_refused_by_its_header() -> None:
    data = bytearray(coloured_jpeg("red"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(PayloadTooLarge):
        decode(bytes(data))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 224))
def test_reduction_never_goes_below_the_side_that_is_needed(w: int, h: int, side: int) -> None:
    data = coloured_jpeg("blue", size=(w, h))
    image = decode(data, min_side=side)
    assert min(image.shape[:2]) >= min(side, w, h)
    assert image.shape[0] * w == pytest.approx(image.shape[1] * h, abs=8 * max(w, h))


def test_a_large_photo_is_reduced_while_decoding() -> None:
    image = decode(coloured_jpeg("blue", size=(1600, 1200)), min_side=128)
    assert image.shape == (150, 200, 3)


@given(st.binary(max_size=300), st.integers(0, 1200), st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_mutated_images_decode_or_are_refused(noise: bytes, at: int, kind: str) -> None:
    data = bytearray(encoded(scene(), kind))
    at = min(at, len(data))
    data[at : at + len(noise)] = noise
    try:
        image = decode(bytes(data), ImageLimits(max_pixels=1_000_000))
    except HawkVisionError:
        return
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
