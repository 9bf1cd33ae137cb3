"""What RTP/JPEG can carry, and the way back to a JPEG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hawkvision.errors import UnsupportedImage
from hawkvision.images import decode
from hawkvision.lossy.jpeg.packetize import carriable, fragments_of
from hawkvision.lossy.jpeg.scan import JpegScan
from tests.lossy.photos import ROOM, jpeg, picture


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 1}, {"quality": 40}, {"restart_marker_rows": 0}]
)
def test_apart_and_together_again_the_pixels_are_the_same(options: dict[str, Any]) -> None:
    original = jpeg(1, **options)
    again = bytes(JpegScan.parse(original))
    assert np.array_equal(decode(again), decode(original))


def test_sides_are_rounded_up_to_eight() -> None:
    scan = JpegScan.parse(jpeg(2, 150, 99))
    assert (scan.layout.width, scan.layout.height) == (152, 104)
    # At the edge, chroma is interpolated with what lies beyond it.
    sent, shown = decode(bytes(scan)), decode(jpeg(2, 150, 99))
    assert np.array_equal(sent[:97, :148], shown[:97, :148])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"subsampling": 0}, "4:2:0"),
        ({"progressive": True}, "progressive"),
        ({"optimize": True}, "Huffman"),
    ],
)
def test_what_cannot_be_carried_says_why(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        JpegScan.parse(jpeg(3, **options))


def _encoded(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        _encoded(Image.fromarray(picture(4)).convert("L")),
        _encoded(Image.fromarray(picture(4, 2048, 64))),
        b"\x89PNG",
        b"",
        jpeg(4)[:300],
        jpeg(4)[:-2000],
        b"\xff\xd8" + b"\xff" * 50,
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        JpegScan.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(5, subsampling=0),
        jpeg(5, progressive=True),
        jpeg(5, optimize=True),
        _encoded(Image.fromarray(picture(5)).convert("L"), quality=90),
        _encoded(Image.fromarray(picture(5, 2400, 160)), quality=60),
        jpeg(5, restart_marker_rows=0),
    ],
)
def test_the_sender_makes_it_carriable(data: bytes) -> None:
    scan = carriable(data, ROOM)
    fragments = fragments_of(scan, ROOM)
    sent, shown = decode(bytes(scan)).astype(int), decode(data)
    if shown.shape[1] > 2040:
        assert scan.layout.width == 2040
        return
    assert np.abs(sent - shown).mean() < 6
    assert all(len(fragment.data) <= ROOM for fragment in fragments)


def test_a_turned_photo_is_sent_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(6, 160, 96, exif=exif)
    assert decode(bytes(carriable(data, ROOM))).shape == decode(data).shape == (160, 96, 3)


def test_a_jpeg_with_fine_intervals_is_sent_as_it_is() -> None:
    data = jpeg(7, restart_marker_blocks=7, restart_marker_rows=0)
    scan = carriable(data, ROOM)
    assert scan.data in data and scan.layout.interval == 7
