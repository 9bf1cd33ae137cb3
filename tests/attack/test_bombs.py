"""The bombs are what they say: valid, small to send, dear to decode."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.attack import bombs


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def decoded(data: bytes) -> Image.Image:
    image = opened(data)
    image.load()
    return image


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 883), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]))
def test_progressive_jpegs_decode_and_have_their_scans(
    scans: int, across: int, down: int, components: int
) -> None:
    data = bombs.jpeg_scans(scans, width=8 * across, height=8 * down, components=components)
    image = decoded(data)
    assert image.size == (8 * across, 8 * down)
    assert len(image.getbands()) == components
    assert bombs.count_scans(data) == scans


def test_a_jpeg_has_no_more_scans_than_are_legal() -> None:
    assert bombs.count_scans(bombs.jpeg_scans(2647, width=8, height=8)) == 2647
    with pytest.raises(ValueError, match="no 2648 scans"):
        bombs.jpeg_scans(2648, width=8, height=8)


def test_small_pngs_and_webps_decode() -> None:
    assert decoded(bombs.png(width=50, height=40)).mode == "RGBA"
    assert decoded(bombs.png(width=50, height=40, colour=0, depth=16)).mode.startswith("I")
    assert decoded(bombs.webp(width=500, height=400)).size == (500, 400)
    assert decoded(bombs.webp_animation(7, width=30, height=20)).n_frames == 7  # type: ignore[attr-defined]


def test_texts_of_a_png_inflate_to_what_is_asked() -> None:
    image = decoded(bombs.png(width=8, height=8, texts=2, text_bytes=300_000))
    assert len(image.info["Comment"]) == 300_000


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("name", bombs.FLAT)
def test_flat_images_declare_36_million_pixels_in_few_bytes(name: str) -> None:
    data = bombs.FLAT[name]()
    width, height = opened(data).size
    assert width * height == 36_000_000
    assert len(data) < 200_000


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("name", bombs.SCANS)
def test_images_of_many_scans_are_within_the_limits_of_size(name: str) -> None:
    data = bombs.SCANS[name]()
    width, height = opened(data).size
    assert 20_000_000 < width * height <= 36_000_000
    assert bombs.count_scans(data) >= 400
    assert len(data) < 1_000_000


def test_zeros_under_gzip_are_a_thousandth() -> None:
    packed = bombs.gzip_zeros(1_000_000)
    assert len(packed) < 2000
    assert gzip.decompress(packed) == bytes(1_000_000)
