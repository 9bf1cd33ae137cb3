"""The forms that an image may have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from hawkvision.client.images import encoded
from hawkvision.errors import UnsupportedImage
from hawkvision.images import decode

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_encoded_bytes_go_as_they_are(form: type) -> None:
    assert encoded(form(b"\xff\xd8\xff anything")) == b"\xff\xd8\xff anything"


@pytest.mark.parametrize("form", [str, Path])
def test_a_file_goes_as_it_is(form: type, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"anything")
    assert encoded(form(tmp_path / "photo.jpg")) == b"anything"
    with pytest.raises(FileNotFoundError):
        encoded(form(tmp_path / "no-such.jpg"))


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[::-1, ::2], np.asfortranarray(PIXELS)])
def test_an_array_stays_near_itself(pixels: Any) -> None:
    again = decode(encoded(pixels))
    assert again.shape == pixels.shape
    assert np.abs(again.astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1"])
def test_what_jpeg_cannot_hold_goes_without_loss(mode: str) -> None:
    image = PIL.Image.fromarray(PIXELS).convert(mode)
    assert np.array_equal(decode(encoded(image)), decode(_png(image)))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_pillow_images_go_as_jpeg(mode: str) -> None:
    image = PIL.Image.fromarray(PIXELS).convert(mode)
    data = encoded(image)
    assert data[:3] == b"\xff\xd8\xff"
    wanted = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(decode(data) - wanted).mean() < 4


def test_a_photo_that_pillow_opened_is_turned_upright(tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpg", PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(PIXELS).save(path, quality=95, exif=exif)
    with PIL.Image.open(path) as image:
        turned = decode(encoded(image))
    assert turned.shape == (30, 20, 3)
    assert np.abs(turned.astype(int) - decode(path.read_bytes())).mean() < 8


@pytest.mark.parametrize(
    "nothing",
    [
        PIXELS.astype(np.float32),
        PIXELS[:, :, 0],
        PIXELS[:0],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 70_000, 3), np.uint8),
        [1, 2, 3],
        None,
    ],
    ids=["float", "grey", "empty", "four channels", "too wide", "list", "None"],
)
def test_what_is_no_image_says_so(nothing: Any) -> None:
    with pytest.raises(UnsupportedImage):
        encoded(nothing)


def _png(image: PIL.Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
