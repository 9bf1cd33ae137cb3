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
from tests.attack.bombs import webp
from tests.images.bombs import chunk, png, segment
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_all_formats_are_turned_alike(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), kind, exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.abs(decode(data).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [b"II*\x00\xff\xff\xff\xff", b"\xff" * 8, b"", b"MM\x00*", b"II*\x00\x08\x00\x00\x00\xff\xff"],
)
def test_a_broken_exif_block_is_ignored(kind: str, block: bytes) -> None:
    data = encoded(scene(), kind, exif=b"Exif\x00\x00" + block)
    assert decode(data).shape == (40, 60, 3)


def test_a_picture_needs_none_of_the_chunks_beside_it() -> None:
    """Broken, compressed to nothing, or too many for a decoder that reads them all."""
    plain = png(20, 10, colour=2)
    text = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(2**24)))
    broken = (
        chunk(b"iCCP", b"?") + chunk(b"eXIf", b"?") + chunk(b"acTL", b"?") + chunk(b"pHYs", b"")
    )
    wrong_sum = chunk(b"tEXt", b"a")[:-1] + b"?"
    busy = png(20, 10, colour=2, before=text * 5 + broken + wrong_sum)
    assert np.array_equal(decode(busy), decode(plain))


def test_a_broken_profile_or_header_of_a_jpeg_is_ignored() -> None:
    plain = encoded(scene(), "JPEG")
    profile = segment(0xE2, b"ICC_PROFILE\x00\x01\x01?")
    for data in (
        plain[:2] + profile * 3 + plain[2:],
        plain.replace(b"JFIF\x00\x01", b"JFIF\x00\x07"),
        plain.replace(b"\xff\xdb", b"\x00\x01\xff\xff\xff\xdb"),
    ):
        assert data != plain and np.array_equal(decode(data), decode(plain))


@pytest.mark.parametrize("marker", range(0xD0, 0xDA))
def test_stray_bytes_before_a_marker_change_nothing(marker: int) -> None:
    noise = Image.effect_noise((128, 128), 90).convert("RGB")
    plain = encoded(noise, "JPEG", restart_marker_blocks=4)
    at = plain.index(bytes([0xFF, marker]), plain.index(b"\xff\xda")) if marker != 0xD8 else 0
    if not at:
        return
    stray = plain[:at] + b"\x55\xff\x00" * 40 + plain[at:]
    assert np.array_equal(decode(stray), decode(plain))
    assert plain.count(b"\xff\xd3") == 2


@pytest.mark.parametrize("marker", [0xD0, 0xD4, 0xD9])
def test_what_is_cut_out_is_not_taken_for_stray_bytes(marker: int) -> None:
    """A piece from within the data to a marker, and bytes before that, or an end put too early."""
    noise = Image.effect_noise((128, 128), 90).convert("RGB")
    plain = encoded(noise, "JPEG", restart_marker_blocks=4)
    start = plain.index(b"\xff\xd1") + 2
    at = plain.index(bytes([0xFF, marker]), start)
    with pytest.raises(CorruptImage):
        decode(plain[:start] + plain[at:])
    with pytest.raises(CorruptImage):
        decode(plain[: start - 2] + b"\x55\x55\x55" + plain[at:])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_cut_anywhere_is_corrupt(kind: str) -> None:
    whole = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), kind)
    for cut in (len(whole) // 2, len(whole) - 60):
        with pytest.raises(CorruptImage):
            decode(whole[:cut])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp_is_as_pillow_reads_it(mode: str, lossless: bool) -> None:
    image = Image.effect_noise((70, 50), 90).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.effect_noise((70, 50), 120))
    data = encoded(image, "WEBP", lossless=lossless, exact=True)
    rgba = Image.open(io.BytesIO(data)).convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    assert np.abs(decode(data).astype(int) - np.asarray(shown)).max() <= 1


def test_the_first_frame_of_an_animation_lies_where_it_belongs() -> None:
    """Encoders keep what changes alone: here a frame smaller than its canvas, at an offset."""
    still = encoded(Image.new("RGB", (10, 6), "red"), "WEBP", lossless=True)
    frame = b"".join(
        [n.to_bytes(3, "little") for n in (4, 2, 9, 5)] + [bytes(3), bytes(1), still[12:]]
    )
    body = (
        b"VP8X"
        + struct.pack("<IB3x", 10, 2)
        + b"".join(n.to_bytes(3, "little") for n in (29, 19))
        + b"ANIM"
        + struct.pack("<I6x", 6)
    )
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    image = decode(data)
    assert image.shape == (20, 30, 3)
    assert np.array_equal(image[4:10, 8:18], decode(still))
    image[4:10, 8:18] = 255
    assert (image == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_large_image_of_any_format_is_reduced_to_means(kind: str, mode: str) -> None:
    small = Image.effect_noise((53, 37), 90).convert(mode)
    large = small.resize((53 * 16, 37 * 16), Image.Resampling.NEAREST)
    data = encoded(large, kind, lossless=True)
    assert decode(data, min_side=37).shape == (74, 106, 3)
    exact = decode(encoded(small, "PNG")).repeat(2, 0).repeat(2, 1)
    assert np.abs(decode(data, min_side=37).astype(int) - exact).max() <= 1


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


@pytest.mark.parametrize("side", [1, 7, 300])
def test_a_webp_of_one_colour_may_have_under_32_bytes(side: int) -> None:
    data = webp(width=side, height=side)
    assert len(data) < 32
    assert decode(data).shape == (side, side, 3)


def test_a_broken_image_is_told_to_its_sender_and_not_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CorruptImage):
        decode(webp(width=9, height=9)[:-3] + b"\xff\xff\xff")
    assert capfd.readouterr() == ("", "")
