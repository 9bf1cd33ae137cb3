"""Wire formats: what is written is read again, and nothing else is taken."""

from __future__ import annotations

from typing import SupportsBytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.advice import ADVICE
from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.tables import quality_of, quantization_tables
from hawkvision.lossy.wire.rtcp import (
    Application,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceName,
    parse_compound,
)
from hawkvision.lossy.wire.rtp import RtpPacket, is_rtcp, sequence_distance, timestamp_distance
from hawkvision.lossy.wire.rtpjpeg import JpegFragment, Size
from hawkvision.lossy.wire.unreadable import UnreadablePacket, advice_of

u32 = st.integers(0, 0xFFFF_FFFF)
layouts = st.builds(
    Layout,
    st.sampled_from([0, 1]),
    st.integers(1, 255).map(lambda n: 8 * n),
    st.integers(1, 255).map(lambda n: 8 * n),
    st.integers(0, 200),
)


@st.composite
def fragments(draw: st.DrawFn) -> JpegFragment:
    layout = draw(layouts)
    offset = draw(st.sampled_from([0, 1, 1000, 0xFFFFFF]))
    q = draw(st.sampled_from([1, 75, 99, 128, 255]))
    tables = draw(st.sampled_from([b"", bytes(range(1, 129))])) if q > 99 and not offset else b""
    start, first, last = None, True, True
    if layout.interval and draw(st.booleans()):
        start = draw(st.integers(0, min(0x3FFE, layout.intervals - 1)))
        first, last = draw(st.booleans()), draw(st.booleans())
    data = draw(st.binary(min_size=1, max_size=40))
    return JpegFragment(offset, layout, q, data, tables, start, first, last)


@given(
    st.builds(
        RtpPacket,
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 0xFFFF),
        u32,
        u32,
        st.binary(max_size=50),
    )
)
def test_rtp_round_trip(packet: RtpPacket) -> None:
    assert RtpPacket.parse(bytes(packet)) == packet


def test_rtp_skips_sources_extension_and_padding() -> None:
    plain = bytes(RtpPacket(26, True, 1, 2, 3, b""))[1:]
    extended = bytes([0x80 | 0x30 | 2]) + plain + b"\0" * 8 + b"\xbe\xde\0\1abcd" + b"data\0\0\3"
    assert RtpPacket.parse(extended).payload == b"data"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(11),
        b"\x90" + bytes(12),
        b"\xa0" + bytes(12),
        b"\x8f" + bytes(20),
        b"\x90" + bytes(11) + b"\0\0\xff\xff",
    ],
)
def test_rtp_that_is_cut_short_or_foreign_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        RtpPacket.parse(data)


@given(fragments())
def test_jpeg_fragment_round_trip(fragment: JpegFragment) -> None:
    assert JpegFragment.parse(bytes(fragment)) == fragment


@pytest.mark.parametrize(
    "payload",
    [
        bytes(7),
        bytes([0, 0, 0, 0, 2, 75, 10, 10, 1]),  # a type that RFC 2435 leaves to sessions
        bytes([1, 0, 0, 0, 1, 75, 10, 10, 1]),  # an interlaced field
        bytes([0, 0, 0, 0, 1, 0, 10, 10, 1]),  # Q 0 is reserved
        bytes([0, 0, 0, 0, 1, 110, 10, 10, 1]),
        bytes([0, 0, 0, 0, 1, 75, 0, 10, 1]),  # a size that SDP would tell
        bytes([0, 0, 0, 0, 65, 75, 10, 10, 0, 0, 0xC0, 0, 1]),  # an interval of 0
        bytes([0, 0, 0, 0, 65, 75, 10, 10, 0, 5, 0xC0, 99, 1]),  # a count beyond the picture
        bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 0, 0, 128, 1]),  # tables that are not there
        bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 1, 0, 128]) + bytes(129),  # 16 bits
        bytes([0, 0, 0, 0, 1, 75, 10, 10]),  # no data
    ],
)
def test_jpeg_fragments_that_cannot_be_read_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedPacket):
        JpegFragment.parse(payload)


@given(st.integers(1, 4096), st.integers(1, 4096), st.booleans())
def test_a_stated_size_stands_where_the_header_cannot_say_it(
    width: int, height: int, said: bool
) -> None:
    """As GStreamer (0x0) and FFmpeg (what is left in a byte) send it; small ones say it."""
    layout = Layout(1, -(-width // 8) * 8, -(-height // 8) * 8)
    sent = JpegFragment(0, layout, 75, b"data")
    stated = Size.of_pixels(width, height)
    if stated is None:
        assert max(width, height) <= 2040
        assert JpegFragment.parse(bytes(sent)) == sent
        return
    payload = bytearray(bytes(sent))
    if not said:
        payload[6:8] = b"\0\0"
    assert JpegFragment.parse(bytes(payload), stated) == sent


def test_a_stated_size_does_not_stand_for_another() -> None:
    stated = Size.of_pixels(2592, 1944)
    sent = JpegFragment(0, Layout(1, 1920, 1080), 75, b"data")
    assert JpegFragment.parse(bytes(sent), stated) == sent
    payload = bytes([0, 0, 0, 0, 65, 75, 0, 0, 0, 1, 255, 255]) + b"data"
    with pytest.raises(UnreadablePacket, match="65536 intervals") as refused:
        JpegFragment.parse(payload, Size.of_pixels(4096, 4096))  # one for each of 65,536 MCUs
    assert refused.value.advice == "restart_interval"


LUMA, BLUE, RED = (bytes([value] * 64) for value in (3, 5, 9))


def wide(table: bytes) -> bytes:
    return b"".join(bytes((0, value)) for value in table)


@pytest.mark.parametrize(
    ("precision", "sent", "tables"),
    [
        (0, LUMA, LUMA * 2),
        (0, LUMA + BLUE, LUMA + BLUE),
        (0, LUMA + BLUE + RED, LUMA + BLUE + RED),
        (1, wide(LUMA), LUMA * 2),
        (2, LUMA + wide(BLUE), LUMA + BLUE),
        (3, wide(LUMA) + wide(BLUE), LUMA + BLUE),
        (255, b"", b""),
    ],
)
def test_one_two_or_three_tables_are_read(precision: int, sent: bytes, tables: bytes) -> None:
    head = bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, precision]) + len(sent).to_bytes(2, "big")
    assert JpegFragment.parse(head + sent + b"data").tables == tables


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        (bytes([0, 0, 0, 0, 2, 75, 10, 10, 1]), "jpeg_type"),
        (bytes([0, 0, 0, 0, 66, 75, 10, 10, 0, 5, 255, 255, 1]), "jpeg_type"),
        (bytes([0, 0, 0, 0, 129, 75, 10, 10, 1]), "jpeg_type"),
        (bytes([1, 0, 0, 0, 1, 75, 10, 10, 1]), "interlaced"),
        (bytes([3, 0, 0, 0, 0, 75, 10, 10, 1]), "interlaced"),
        (bytes([0, 0, 0, 0, 1, 0, 10, 10, 1]), "quality"),
        (bytes([0, 0, 0, 0, 1, 100, 10, 10, 1]), "quality"),
        (bytes([0, 0, 0, 0, 1, 127, 10, 10, 1]), "quality"),
        (bytes([0, 0, 0, 0, 1, 75, 0, 0, 1]), "size"),
        (bytes([0, 0, 0, 0, 65, 75, 10, 10, 0, 0, 255, 255, 1]), "restart_interval"),
        (bytes([0, 0, 0, 0, 65, 75, 10, 10, 0, 5, 0xC0, 99, 1]), "restart_interval"),
        (bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 0, 0, 63]) + LUMA, "tables"),
        (bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 0, 1, 0]) + LUMA * 5, "tables"),
        (bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 1, 0, 128]) + LUMA * 3, "tables"),
        (bytes([0, 0, 0, 0, 1, 255, 10, 10, 0, 0, 0, 128]) + LUMA, "malformed"),
        (bytes(3), "malformed"),
    ],
)
def test_what_is_not_read_says_why(payload: bytes, advice: str) -> None:
    with pytest.raises(MalformedPacket) as caught:
        JpegFragment.parse(payload)
    assert advice_of(caught.value) == advice and advice in ADVICE


@given(st.binary(min_size=8, max_size=300))
def test_whatever_arrives_has_a_code_that_is_explained(payload: bytes) -> None:
    try:
        found = JpegFragment.parse(payload)
    except MalformedPacket as error:
        assert advice_of(error) in ADVICE
    else:
        assert len(found.tables) in (0, 128, 192) and 0 not in found.tables


blocks = st.builds(
    ReportBlock,
    u32,
    st.integers(0, 255),
    st.integers(-0x800000, 0x7FFFFF),
    u32,
    u32,
    u32,
    u32,
)


@given(
    st.builds(
        SenderReport,
        u32,
        st.integers(0, 2**64 - 1),
        u32,
        u32,
        u32,
        st.lists(blocks, max_size=3).map(tuple),
    ),
    st.builds(ReceiverReport, u32, st.lists(blocks, max_size=3).map(tuple)),
    st.builds(Application, u32, st.just(b"HVRS"), st.binary(max_size=30)),
    st.text(max_size=20),
)
def test_rtcp_round_trip(
    sent: SenderReport, received: ReceiverReport, application: Application, name: str
) -> None:
    goodbye = Goodbye((sent.ssrc,))
    parts: list[SupportsBytes] = [sent, SourceName(1, name), received, application, goodbye]
    compound = b"".join(bytes(part) for part in parts)
    assert parse_compound(compound) == [sent, received, application, goodbye]
    assert is_rtcp(compound) and len(compound) % 4 == 0


def test_the_report_block_has_the_bytes_of_rfc_3550() -> None:
    block = ReportBlock(0x01020304, 64, -2, 0x00010005, 7, 0x11223344, 9)
    assert bytes(ReceiverReport(0xAABBCCDD, (block,))).hex() == (
        "81c90007aabbccdd0102030440fffffe00010005000000071122334400000009"
    )


@given(st.integers(0, 0xFFFF), st.integers(-0x8000, 0x7FFF))
def test_sequence_numbers_wrap(old: int, step: int) -> None:
    assert sequence_distance((old + step) & 0xFFFF, old) == step


def test_timestamps_wrap() -> None:
    assert timestamp_distance(5, 0xFFFF_FFFF) == 6


@given(st.integers(1, 99))
def test_a_computed_table_is_recognised(quality: int) -> None:
    tables = quantization_tables(quality)
    found = quality_of(tables)
    assert found is not None and quantization_tables(found) == tables
