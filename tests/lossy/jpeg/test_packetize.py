"""Fragments: whole intervals, within the datagram, and together the scan again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import UnsupportedImage
from hawkvision.lossy.jpeg.packetize import carriable, fragments_of
from hawkvision.lossy.jpeg.scan import RESTART, JpegScan
from hawkvision.lossy.wire.rtpjpeg import JpegFragment
from tests.lossy.photos import jpeg, picture


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.integers(24, 300), st.integers(24, 300), st.integers(100, 1400))
def test_fragments_are_the_scan(seed: int, width: int, height: int, room: int) -> None:
    scan = carriable(picture(seed, width, height), room)
    fragments = fragments_of(scan, room)
    assert b"".join(fragment.data for fragment in fragments) == scan.data
    offset = 0
    for fragment in fragments:
        assert fragment.offset == offset
        assert len(bytes(fragment)) <= room + 12 + 132 * bool(fragment.tables)
        assert JpegFragment.parse(bytes(fragment)) == fragment
        offset += len(fragment.data)


def test_an_interval_takes_half_a_packet_at_most_on_average() -> None:
    for data in (jpeg(1), jpeg(1, 600, 400), jpeg(1, 96, 96)):
        scan = carriable(data, 1166)
        assert len(scan.data) / scan.layout.intervals <= 1166 / 2


def test_every_fragment_begins_with_the_interval_that_it_names() -> None:
    scan = carriable(jpeg(2, 400, 300), 1166)
    starts = [0] + [match.end() for match in RESTART.finditer(scan.data)]
    for fragment in fragments_of(scan, 1166):
        assert fragment.start is not None
        assert starts[fragment.start] == fragment.offset or not fragment.first


def test_an_interval_larger_than_a_packet_is_cut_and_marked() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    scan = carriable(noise, 120, quality=98)
    pieces = fragments_of(scan, 120)
    cut = [piece for piece in pieces if not (piece.first and piece.last)]
    assert cut and max(len(piece.data) for piece in pieces) <= 120
    for piece, following in itertools.pairwise(pieces):
        assert piece.last == following.first


def test_tables_of_libjpeg_need_no_bytes_and_others_travel_once() -> None:
    assert all(not fragment.tables for fragment in fragments_of(carriable(jpeg(3), 1166), 1166))
    own = jpeg(3, qtables=[[9] * 64, [11] * 64], quality=-1)
    fragments = fragments_of(carriable(own, 1166), 1166)
    assert fragments[0].tables == bytes([9] * 64 + [11] * 64)
    assert not any(fragment.tables for fragment in fragments[1:])


def test_without_restart_intervals_there_are_no_aligned_fragments() -> None:
    with pytest.raises(UnsupportedImage):
        fragments_of(JpegScan.parse(jpeg(4, restart_marker_rows=0)), 1166)
