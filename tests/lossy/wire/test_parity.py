"""Parity recovers what it promises, bit for bit, and is GStreamer's format."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.pacing import parity_packets
from hawkvision.lossy.wire.parity import LONGEST_SPAN, Parity, ParityDecoder, groups, protect
from hawkvision.lossy.wire.rtp import RtpPacket

SSRC = 77


def _packets(count: int, first: int, seed: int = 0) -> list[bytes]:
    return [
        bytes(
            RtpPacket(
                26,
                index == count - 1,
                (first + index) & 0xFFFF,
                9000,
                SSRC,
                bytes((seed + index * 7 + at) & 0xFF for at in range(20 + (index * 13) % 40)),
            )
        )
        for index in range(count)
    ]


@given(st.integers(0, 120), st.integers(0, 40))
def test_every_packet_is_in_one_group_and_groups_span_48(count: int, parities: int) -> None:
    found = groups(count, parities)
    assert sorted(index for group in found for index in group) == (
        list(range(count)) if parities else []
    )
    assert all(group[-1] - group[0] < LONGEST_SPAN for group in found)


@settings(max_examples=60)
@given(st.data())
def test_one_loss_in_each_group_is_recovered(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 90))
    first = data.draw(st.sampled_from([0, 65_500, 12]))
    packets = _packets(count, first)
    found = groups(count, data.draw(st.integers(1, max(1, count // 3))))
    lost = {data.draw(st.sampled_from(group)) for group in found}
    decoder = ParityDecoder()
    for index, packet in enumerate(packets):
        if index not in lost:
            decoder.remember((first + index) & 0xFFFF, packet)
    recovered = [
        packet for group in found for packet in decoder.parity(protect(packets, group), SSRC)
    ]
    assert sorted(recovered) == sorted(packets[index] for index in lost)


def test_two_losses_in_a_group_are_not_guessed() -> None:
    packets = _packets(6, 1)
    decoder = ParityDecoder()
    for index in (0, 1, 2, 3):
        decoder.remember(1 + index, packets[index])
    assert decoder.parity(protect(packets, range(6)), SSRC) == []
    decoder.remember(5, packets[4])
    assert decoder.parity(protect(packets, range(6)), SSRC) == [packets[5]]


def test_the_header_is_that_of_rfc_5109() -> None:
    one = bytes(RtpPacket(26, False, 8, 3, SSRC, b"\1\2\3\4"))
    two = bytes(RtpPacket(26, True, 9, 5, SSRC, b"\7\7"))
    assert protect([one, two], [0, 1]).hex() == ("008000080000000600060004c00006050304")


@pytest.mark.parametrize("size", [0, 13, 14, 40])
def test_damaged_parity_is_refused(size: int) -> None:
    whole = protect(_packets(3, 0), range(3))
    with pytest.raises(MalformedPacket):
        Parity.parse(b"\x80" + whole[1:] if size == 40 else whole[:size])


def test_memory_is_bounded_and_nonsense_recovers_nothing() -> None:
    decoder = ParityDecoder()
    for number in range(5000):
        decoder.remember(number & 0xFFFF, b"\x80" + bytes(11))
    nothing = Parity((1, 2), 4, b"\0\0\0\0\0\0\xff\xff", b"abcd")
    assert nothing.recover([b"\x80" + bytes(15)], 2, SSRC) is None


def test_more_loss_takes_more_parity_and_none_takes_none() -> None:
    counts = [parity_packets(10, loss) for loss in (0.0, 0.004, 0.01, 0.05, 0.1, 0.3)]
    assert counts == [0, 0, 1, 2, 3, 4]
