"""What arrived is where it belongs; what did not is flat; any decoder takes the result."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hawkvision.errors import CorruptImage
from hawkvision.images import decode
from hawkvision.lossy.assembler import Assembler
from hawkvision.lossy.jpeg.packetize import carriable
from hawkvision.lossy.jpeg.pixels import concealed_jpeg, decode_frame
from hawkvision.lossy.jpeg.rebuild import Rebuilt, rebuild
from hawkvision.lossy.jpeg.scan import JpegScan
from tests.lossy.photos import ROOM, aligned, jpeg, received, unaligned


def _misplaced(rebuilt: Rebuilt, sent: JpegScan) -> int:
    """Pixels that differ from what was sent, away from what is marked as lost.

    Chroma is interpolated across MCU borders, so two pixels around the lost area are left out.
    """
    shown, reference = decode(rebuilt.jpeg), decode(bytes(sent))
    lost = np.zeros(shown.shape[:2], np.uint8)
    if rebuilt.lost is not None:
        high, wide = rebuilt.layout.mcu_height, rebuilt.layout.mcu_width
        mask = rebuilt.lost.repeat(high, axis=0).repeat(wide, axis=1)
        lost = mask[: shown.shape[0], : shown.shape[1]].astype(np.uint8)
    near = cv2.dilate(lost, np.ones((5, 5))) > 0
    return int((shown != reference)[~near].sum())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_aligned_packets_cost_what_they_carried(data: st.DataObject) -> None:
    width, height = data.draw(st.sampled_from([(224, 224), (400, 104), (96, 232)]))
    sampling = data.draw(st.sampled_from([1, 2]))
    sent = jpeg(data.draw(st.integers(0, 9)), width, height, subsampling=sampling)
    scan = carriable(sent, ROOM)
    parts = aligned(scan)
    kept = data.draw(st.sets(st.integers(0, len(parts) - 1), min_size=1))
    rebuilt = rebuild(received(parts, sorted(kept)))
    assert _misplaced(rebuilt, scan) == 0
    starts = [part.start or 0 for part in parts] + [scan.layout.intervals]
    gone = sum(
        len(range(starts[index], starts[index + 1])) * scan.layout.interval
        for index in range(len(parts))
        if index not in kept
    )
    assert rebuilt.lost_fraction <= min(1.0, gone / scan.layout.mcus) + 1e-9


@pytest.mark.parametrize("drops_interval", [False, True], ids=["gstreamer", "ffmpeg"])
@pytest.mark.parametrize("size", [(224, 224), (600, 400)])
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.2, 0.3])
def test_stock_packets_are_never_misplaced(
    loss: float, size: tuple[int, int], drops_interval: bool
) -> None:
    rng = np.random.default_rng(int(1000 * loss))
    mean_bytes = None
    lost = []
    for seed in range(12):
        scan = JpegScan.parse(jpeg(seed, *size))
        parts = unaligned(scan, drops_interval=drops_interval)
        kept = [index for index in range(len(parts)) if rng.random() >= loss] or [0]
        assembler = Assembler(0.05)
        assembler.mean_bytes = mean_bytes
        rebuilt = rebuild(received(parts, kept, assembler=assembler))
        mean_bytes = rebuilt.mean_bytes
        if 0 in kept:
            assert _misplaced(rebuilt, scan) == 0
        lost.append(rebuilt.lost_fraction)
    assert np.mean(lost) < 2.7 * loss + 0.03


def test_small_intervals_of_stock_senders_are_lost_rather_than_misplaced() -> None:
    """Four MCUs a piece: many laps of the marker number fit into one packet."""
    rng = np.random.default_rng(3)
    unplaced = 0
    for seed in range(60):
        scan = JpegScan.parse(jpeg(seed, restart_marker_rows=0, restart_marker_blocks=4))
        parts = unaligned(scan)
        kept = [0] + [index for index in range(1, len(parts)) if rng.random() >= 0.3]
        rebuilt = rebuild(received(parts, kept))
        assert _misplaced(rebuilt, scan) == 0
        unplaced += rebuilt.unplaced
    assert unplaced > 0


@pytest.mark.parametrize("kind", [aligned, unaligned])
def test_all_decoders_accept_the_result_without_a_warning(kind: object) -> None:
    assert callable(kind)
    parts = kind(JpegScan.parse(jpeg(5)))
    rebuilt = rebuild(received(parts, [0, 4, 5, len(parts) - 1]))
    strict = simplejpeg.decode_jpeg(rebuilt.jpeg, "RGB", strict=True)
    with Image.open(io.BytesIO(rebuilt.jpeg)) as opened:
        assert np.array_equal(np.asarray(opened.convert("RGB")), strict)
    assert cv2.imdecode(np.frombuffer(rebuilt.jpeg, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_complete_frame_is_bit_for_bit_the_scan() -> None:
    scan = JpegScan.parse(jpeg(6))
    for parts in (aligned(scan), unaligned(scan), unaligned(scan, drops_interval=True)):
        rebuilt = rebuild(received(parts, list(range(len(parts)))))
        assert rebuilt.complete and rebuilt.lost_fraction == 0
        assert np.array_equal(decode(rebuilt.jpeg), decode(jpeg(6)))


@pytest.mark.parametrize("blocks", [9, 14, 28, 42])
def test_the_interval_that_ffmpeg_does_not_send_is_inferred(blocks: int) -> None:
    data = jpeg(7, restart_marker_rows=0, restart_marker_blocks=blocks)
    parts = unaligned(JpegScan.parse(data), drops_interval=True)
    rebuilt = rebuild(received(parts, list(range(len(parts)))))
    assert np.array_equal(decode(rebuilt.jpeg), decode(data))


def test_without_restart_markers_the_part_before_the_gap_is_used() -> None:
    data = jpeg(8, restart_marker_rows=0)
    parts = unaligned(JpegScan.parse(data))
    rebuilt = rebuild(received(parts, [0, 1, 2, *range(4, len(parts))]))
    pixels = decode_frame(rebuilt)
    assert rebuilt.prefix_only and pixels.lost is not None
    assert 0.3 < pixels.lost_fraction < 0.9
    first = int(np.flatnonzero(pixels.lost.ravel())[0]) // rebuilt.layout.columns
    reference = decode(data)
    rows = 16 * (first - 1)
    assert np.array_equal(pixels.image[:rows], reference[:rows])


def test_without_restart_markers_and_beginning_nothing_can_be_used() -> None:
    parts = unaligned(JpegScan.parse(jpeg(8, restart_marker_rows=0)))
    with pytest.raises(CorruptImage, match="restart"):
        rebuild(received(parts, [1, 2, 3]))


def test_unknown_tables_make_a_frame_doubtful() -> None:
    parts = unaligned(JpegScan.parse(jpeg(9)))
    rebuilt = rebuild(received(parts, list(range(1, len(parts)))))
    assert not rebuilt.tables_known and not rebuilt.complete


def test_a_frame_with_foreign_huffman_tables_is_garbled_not_an_error() -> None:
    data = jpeg(10, optimize=True, restart_marker_rows=0)
    with pytest.raises(Exception, match="Huffman"):
        JpegScan.parse(data)
    plain = JpegScan.parse(jpeg(10, restart_marker_rows=0))
    scan_at = data.index(b"\xff\xda")
    foreign = JpegScan(plain.layout, plain.tables, data[scan_at + 14 : -2])
    parts = unaligned(foreign)
    pixels = decode_frame(rebuild(received(parts, list(range(len(parts))))))
    assert pixels.garbled


def test_the_concealed_jpeg_shows_what_the_edge_saw() -> None:
    scan = carriable(jpeg(11), ROOM)
    parts = aligned(scan)
    rebuilt = rebuild(received(parts, [0, 1, *range(4, len(parts))]))
    sent, seen = decode(concealed_jpeg(rebuilt)).astype(int), decode_frame(rebuilt).image
    assert np.abs(sent - seen).mean() < 3
