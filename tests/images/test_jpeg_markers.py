"""The walk through a JPEG's markers sees what libjpeg would see, and nothing is hidden from it."""

from __future__ import annotations

import io
import struct

import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hawkvision.errors import CorruptImage, HawkVisionError, PayloadTooLarge
from hawkvision.images.jpeg_markers import JpegStructure, walk
from tests.images.bombs import (
    arithmetic_jpeg,
    baseline_jpeg,
    frame,
    progressive_jpeg,
    scan,
    segment,
)
from tests.models import coloured_jpeg


def walked(data: bytes, max_scans: int = 10_000, max_segments: int = 10_000) -> JpegStructure:
    return walk(data, max_scans=max_scans, max_segments=max_segments)


def saved(mode: str = "RGB", size: tuple[int, int] = (61, 47), **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_what_encoders_write(mode: str, subsampling: int, progressive: bool) -> None:
    data = saved(mode, subsampling=subsampling, progressive=progressive)
    found = walked(data)
    assert (found.frame.width, found.frame.height) == (61, 47)
    assert found.frame.components == len(Image.new(mode, (1, 1)).getbands())
    assert found.buffered == progressive
    assert found.scans == (data.count(b"\xff\xda") if progressive else 1)
    assert 1 <= found.visits / found.frame.blocks < 10 if progressive else not found.visits
    assert not found.strays and not found.interval


def test_every_scan_of_the_longest_progression_is_counted() -> None:
    found = walked(progressive_jpeg(64, 64))
    assert (found.frame.blocks, found.scans) == (192, 1 + 3 * 63 * 14)
    assert found.visits == 192 + 3 * 63 * 14 * 64


def test_one_scan_for_each_component_is_as_much_as_one_for_all() -> None:
    found = walked(baseline_jpeg(64, 48, separate=True))
    assert (found.scans, found.visits, found.frame.blocks) == (3, 144, 144)
    assert found.buffered


def test_arithmetic_coding_is_walked_alike() -> None:
    assert walked(arithmetic_jpeg(80, 80, b"ab")).frame.blocks == 300


@pytest.mark.parametrize("between", [b"\xff", b"\xff" * 1000, b"\x00\x12", b"\xff\x00\xab"])
def test_fill_and_stray_bytes_hide_nothing(between: bytes) -> None:
    data = progressive_jpeg(64, 64, 40)
    for marker in (b"\xff\xc2", b"\xff\xc4", b"\xff\xda"):
        data = data.replace(marker, between + marker)
    assert walked(data).scans == 40


@pytest.mark.parametrize("data", [b"\xff\xd0", b"\xff\x00", b"\xff\xd7\xff\x00" * 50])
def test_restarts_and_stuffed_bytes_are_data(data: bytes) -> None:
    whole = progressive_jpeg(64, 64, 40)
    assert walked(whole.replace(b"\xff\xda", data + b"\xff\xda")).scans == 40


def test_a_thumbnail_is_no_frame() -> None:
    inside = segment(0xE1, b"Exif\x00\x00" + progressive_jpeg(8, 8, 30))
    plain = coloured_jpeg("red")
    found = walked(plain[:2] + inside + plain[2:])
    assert (found.frame.width, found.frame.height, found.scans) == (48, 48, 1)


def test_only_the_first_frame_counts_as_no_decoder_takes_two() -> None:
    plain = coloured_jpeg("red")
    start = plain.index(b"\xff\xda")
    twice = plain[:start] + frame(0xC0, 9000, 9000) + plain[start:]
    assert walked(twice).frame.width == 48
    with pytest.raises(ValueError):
        simplejpeg.decode_jpeg(twice)


def test_scans_behind_the_end_do_not_count() -> None:
    assert walked(progressive_jpeg(8, 8, 3) + progressive_jpeg(8, 8, 30)).scans == 3


def test_passes_are_counted_for_each_block_and_few_are_free() -> None:
    assert walked(progressive_jpeg(80, 80, 300), max_scans=1).scans == 300
    walked(progressive_jpeg(1600, 1600, 4), max_scans=2)
    with pytest.raises(PayloadTooLarge, match="more than 2 times"):
        walked(progressive_jpeg(1600, 1600, 9), max_scans=2)


def test_a_bomb_is_refused_at_the_scan_that_is_too_many() -> None:
    """What comes behind is not even looked at: that it is no JPEG at all makes no difference."""
    data = progressive_jpeg(1600, 1600, 99)[:-2] + scan([1], 1, 1, 0x10, b"\xff" * 100)
    with pytest.raises(PayloadTooLarge):
        walked(data, max_scans=32)


@pytest.mark.parametrize("marker", [0xE1, 0xFE, 0xDB, 0xD3, 0x02])
def test_segments_are_bounded(marker: int) -> None:
    plain = coloured_jpeg("red")
    one = bytes([0xFF, marker]) if marker < 0xD8 else segment(marker, b"")
    assert walked(plain[:2] + one * 50 + plain[2:], max_segments=70).frame.width == 48
    with pytest.raises(PayloadTooLarge, match="more than 70 segments"):
        walked(plain[:2] + one * 71 + plain[2:], max_segments=70)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + scan([1], 0, 63, 0, b"") + frame(0xC0, 8, 8),
        b"\xff\xd8" + frame(0xC0, 8, 0) + scan([1], 0, 63, 0, b""),
        b"\xff\xd8" + frame(0xC0, 8, 8, 0) + scan([1], 0, 63, 0, b""),
        b"\xff\xd8" + segment(0xC0, b"\x08\x00\x08\x00\x08\x01\x01\x00\x00") + bytes(20),
        b"\xff\xd8" + segment(0xC0, b"\x08\x00\x08") + scan([1], 0, 63, 0, b""),
    ],
)
def test_what_has_no_size_or_scan_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        walked(data)


def test_exif_is_found_behind_whatever_comes_before() -> None:
    plain = coloured_jpeg("red")
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + bytes(60_000))
    block = b"MM\x00*" + struct.pack(">IH", 8, 0)
    data = plain[:2] + xmp * 20 + segment(0xE1, b"Exif\x00\x00" + block) + plain[2:]
    assert walked(data).exif == block


@given(
    st.sampled_from([coloured_jpeg("red"), progressive_jpeg(32, 24, 9), saved(progressive=True)]),
    st.lists(st.tuples(st.integers(0, 1000), st.binary(max_size=6), st.booleans()), max_size=4),
)
def test_whatever_libjpeg_reads_the_walk_reads_alike(
    data: bytes, changes: list[tuple[int, bytes, bool]]
) -> None:
    changed = bytearray(data)
    for at, noise, insert in changes:
        at = 2 + at % (len(changed) - 2)
        changed[at : at if insert else at + len(noise)] = noise
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(bytes(changed))
    except ValueError:
        height = width = 0
    try:
        found = walked(bytes(changed))
    except HawkVisionError:
        assert not width
        return
    if width:
        assert (found.frame.width, found.frame.height) == (width, height)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    try:
        found = walked(b"\xff\xd8" + noise)
    except HawkVisionError:
        return
    assert found.frame.width > 0 and found.frame.height > 0 and found.scans > 0
