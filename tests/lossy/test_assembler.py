"""When frames end, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.lossy.assembler import REORDER_S, Assembler, AssemblyLimits, Frame
from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.packetize import carriable
from hawkvision.lossy.wire.rtpjpeg import JpegFragment
from tests.lossy.photos import ROOM, aligned, jpeg

SCAN = carriable(jpeg(1), ROOM)
PARTS = aligned(SCAN)
LAST = len(PARTS) - 1


def _feed(
    assembler: Assembler, order: list[int], timestamp: int = 5, now: float = 0.0
) -> list[Frame]:
    out: list[Frame] = []
    for index in order:
        out += assembler.add(timestamp, index == LAST, PARTS[index], now)
    return out


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(len(PARTS))), st.sampled_from([0, 0xFFFF_FFFF]))
def test_a_frame_is_complete_with_its_last_packet_in_any_order(
    order: list[int], stamp: int
) -> None:
    assembler = Assembler(0.05)
    assert _feed(assembler, order[:-1], stamp) == []
    (frame,) = assembler.add(stamp, order[-1] == LAST, PARTS[order[-1]], 0.01)
    assert frame.complete and b"".join(part.data for part in frame.fragments) == SCAN.data
    assert assembler.next_due_s is None


def test_a_frame_with_a_gap_ends_shortly_after_its_last_packet() -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0, 1, LAST], now=0.010)
    assert assembler.poll(0.010 + 0.9 * REORDER_S) == []
    (frame,) = assembler.poll(0.010 + REORDER_S)
    assert not frame.complete and frame.size == len(SCAN.data)


def test_without_the_last_packet_it_waits_for_the_deadline() -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0, 1])
    assert assembler.poll(0.049) == []
    (frame,) = assembler.poll(0.050)
    assert frame.size is None


@pytest.mark.parametrize("later", [6, 5 + 9000])
def test_a_later_frame_ends_the_wait_for_an_earlier_one(later: int) -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0, 1])
    _feed(assembler, [0], later, 0.020)
    (frame,) = assembler.poll(0.020 + REORDER_S)
    assert frame.timestamp == 5 and assembler.in_flight == 1


def test_a_reordered_earlier_frame_does_not_end_a_later_one() -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0], 5)
    _feed(assembler, [0], 4, 0.001)
    assert assembler.poll(0.01) == []


def test_parity_ends_the_wait_too() -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0, 1])
    assembler.parity_seen(5, 0.004)
    assert len(assembler.poll(0.004 + REORDER_S)) == 1


def test_copies_latecomers_and_contradictions_change_nothing() -> None:
    assembler = Assembler(0.05)
    _feed(assembler, [0, 0, 0])
    other = replace(PARTS[1], layout=Layout(1, 80, 80, 5))
    assert assembler.add(5, False, other, 0.0) == []
    assert (assembler.counts.duplicate, assembler.counts.conflicting) == (2, 1)
    (frame,) = assembler.poll(1.0)
    assert len(frame.fragments) == 1
    assert assembler.add(5, False, PARTS[1], 1.1) == [] and assembler.counts.late == 1


def test_overlapping_fragments_do_not_make_a_frame_complete() -> None:
    assembler = Assembler(0.05)
    layout = Layout(1, 64, 64)
    frames = assembler.add(1, False, JpegFragment(0, layout, 75, b"x" * 10), 0.0)
    frames += assembler.add(1, False, JpegFragment(5, layout, 75, b"y" * 10), 0.0)
    frames += assembler.add(1, True, JpegFragment(15, layout, 75, b"z" * 5), 0.0)
    (frame,) = frames
    assert not frame.complete and [part.offset for part in frame.fragments] == [0, 15]


def test_what_a_source_may_hold_is_bounded() -> None:
    limits = AssemblyLimits(max_frames=3, max_bytes=3000, max_packets=4, max_pixels=224 * 224)
    assembler = Assembler(0.05, limits)
    ended: list[Frame] = []
    for stamp in range(100):
        ended += _feed(assembler, list(range(LAST)), stamp)
    assert assembler.in_flight == 3 and len(ended) == 97
    assert assembler.counts.over_limit > 0
    big = JpegFragment(0, Layout(1, 232, 224), 75, b"x")
    assert assembler.add(1000, False, big, 0.0) == [] and assembler.in_flight == 3


def test_tables_are_kept_for_frames_whose_first_packet_is_lost() -> None:
    layout, tables = Layout(1, 64, 64), bytes(range(1, 129))
    assembler = Assembler(0.05)
    first = JpegFragment(0, layout, 255, b"x" * 9, tables)
    assembler.add(1, False, first, 0.0)
    assembler.add(2, False, JpegFragment(9, layout, 255, b"y"), 0.0)
    one, two = assembler.poll(1.0)
    assert one.tables == two.tables == tables


def test_unknown_tables_are_none_and_computed_ones_are_known() -> None:
    assembler = Assembler(0.05)
    layout = Layout(1, 64, 64)
    assembler.add(1, False, JpegFragment(9, layout, 255, b"y"), 0.0)
    assembler.add(2, False, JpegFragment(9, layout, 60, b"y"), 0.0)
    one, two = assembler.poll(1.0)
    assert one.tables is None and two.tables is not None


def test_tables_of_another_quality_are_not_taken_for_these() -> None:
    """Q 128 to 254 name their tables (RFC 2435, section 4.2); a new run has to send them anew."""
    layout, tables = Layout(1, 64, 64), bytes(range(1, 129))
    assembler = Assembler(0.05)

    def frame(stamp: int, q: int, tables: bytes = b"") -> bytes | None:
        assembler.add(stamp, False, JpegFragment(0, layout, q, b"x", tables), 0.0)
        (found,) = assembler.poll(1.0)
        return found.tables

    assert frame(1, 130, tables) == frame(2, 130) == tables
    assert frame(3, 131) is None and frame(4, 255) is None
    assembler.begin_anew()
    assert frame(5, 130) is None
