"""Hostile datagrams: no exception escapes, memory and time stay bounded."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import HawkVisionError, MalformedPacket
from hawkvision.lossy.assembler import AssemblyLimits, Frame
from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.pixels import decode_frame
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.jpeg.tables import quantization_tables
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.wire.parity import Parity
from hawkvision.lossy.wire.rtcp import parse_compound
from hawkvision.lossy.wire.rtp import RtpPacket
from hawkvision.lossy.wire.rtpjpeg import JpegFragment
from tests.lossy import captures, fuzz


@pytest.mark.parametrize("client", captures.CLIENTS)
def test_captured_packets_of_real_clients_make_two_frames(client: str) -> None:
    receiver = StreamReceiver(captures.SSRC, 0.05)
    frames: list[Frame] = []
    for datagram in captures.read(client):
        if receiver.rtcp(datagram, 0.0) is None or not 192 <= datagram[1] <= 223:
            frames += receiver.rtp(datagram, 0.0) or []
    assert [frame.complete for frame in frames] == [True, True]
    assert all(decode_frame(rebuild(frame)).image.shape == (80, 96, 3) for frame in frames)


def test_mutated_packets_raise_nothing_and_cost_little() -> None:
    seen = fuzz.run(20.0, seed=3, datagrams=6000)
    assert seen.datagrams > 500 and seen.frames > 20
    assert seen.memory_mb < 300
    assert seen.receive_ms_worst < 100 and seen.frame_ms_worst < 1500


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_parsers_raise_their_own_error_only(data: bytes) -> None:
    for parse in (RtpPacket.parse, JpegFragment.parse, parse_compound, Parity.parse):
        with contextlib.suppress(MalformedPacket):
            parse(data)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 1),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 40),
    st.lists(
        st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=60), st.booleans()),
        min_size=1,
        max_size=12,
    ),
)
def test_any_fragments_make_a_frame_or_our_error(
    kind: int, width: int, height: int, interval: int, parts: list[tuple[int, bytes, bool]]
) -> None:
    receiver = StreamReceiver(1, 0.05)
    layout = Layout(kind, 8 * width, 8 * height, interval)
    for offset, data, marker in parts:
        fragment = JpegFragment(offset, layout, 75, data)
        for frame in receiver.assembler.add(3, marker, fragment, 0.0):
            with contextlib.suppress(HawkVisionError):
                decode_frame(rebuild(frame))
    for frame in receiver.poll(1.0):
        with contextlib.suppress(HawkVisionError):
            decode_frame(rebuild(frame))


@pytest.mark.parametrize("step", [3, 40])
def test_the_worst_picture_is_bounded(step: int) -> None:
    """The largest picture, an interval for each MCU, markers everywhere, every second one lost."""
    layout = Layout(1, 2040, 2040, 1)
    data = b"".join(
        b"\x28\xa2\x8a\x00\xff" + bytes([0xD0 + number % 8]) for number in range(60_000)
    )
    limits = AssemblyLimits()
    fragments = [
        JpegFragment(at, layout, 75, data[at : at + step])
        for at in range(0, min(len(data), limits.max_packets * 2 * step), 2 * step)
    ]
    frame = Frame(
        1, layout, quantization_tables(75), fragments, None, False, 0.0, 0.0, mean_bytes=6.0
    )
    start = time.thread_time()
    with contextlib.suppress(HawkVisionError):
        decode_frame(rebuild(frame))
    assert time.thread_time() - start < 6
