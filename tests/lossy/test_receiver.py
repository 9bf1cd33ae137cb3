"""A stream's both ends together: what is sent is received; what is hostile changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.images import decode
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.reception import Reception
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.parity import protect
from hawkvision.lossy.wire.rtcp import Goodbye, ReceiverReport, SenderReport
from hawkvision.lossy.wire.rtp import CLOCK_HZ, RtpPacket
from hawkvision.lossy.wire.srtp import PLAIN, SUITES, Inbound, Outbound, new_key, suite_named
from tests.lossy.photos import jpeg

SSRC = 0x1234_5678


def _pair(suite_name: str, parity: float | None = 0.0) -> tuple[StreamSender, StreamReceiver]:
    suite = suite_named(suite_name)
    key = new_key(suite) if suite else b""
    settings = SenderSettings(tag_bytes=suite.tag_bytes if suite else 0, parity=parity)
    return (
        StreamSender(SSRC, settings, Outbound(suite, key, SSRC) if suite else None),
        StreamReceiver(SSRC, 0.05, None, Inbound(suite, key, SSRC) if suite else None),
    )


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("parity", [0.0, 20.0])
def test_images_cross(suite: str, parity: float) -> None:
    sender, receiver = _pair(suite, parity)
    for index in range(5):
        datagrams = sender.frame(jpeg(index), 3000 * index)
        assert all(len(datagram) <= 1200 for datagram in datagrams)
        frames = [
            frame for datagram in datagrams for frame in receiver.rtp(datagram, 0.1 * index) or []
        ]
        assert len(frames) == 1 and frames[0].complete
        sent = decode(bytes(rebuild(frames[0]).jpeg)).astype(int)
        assert np.abs(sent - decode(jpeg(index))).mean() < 1.5


def test_parity_makes_up_for_losses() -> None:
    sender, receiver = _pair(PLAIN, 20.0)
    receiver.expect_parity()
    datagrams = sender.frame(jpeg(1), 1)
    frames = [
        frame
        for index, datagram in enumerate(datagrams)
        if index not in (2, 5)
        for frame in receiver.rtp(datagram, 0.0) or []
    ]
    assert [frame.complete for frame in frames] == [True] and receiver.parity.recovered == 2


def test_a_recovered_packet_that_is_nonsense_costs_only_itself() -> None:
    """Both recovered at once: the first is no JPEG, the second completes a frame."""
    sender, receiver = _pair(PLAIN)
    receiver.expect_parity()
    whole = sender.frame(jpeg(1), 1)
    last = RtpPacket.parse(whole[-1])
    bad = RtpPacket(26, False, (last.sequence + 1) & 0xFFFF, 2, SSRC, b"no jpeg")
    for datagram in whole[:-1]:
        receiver.rtp(datagram, 0.0)
    both, one = (protect([bytes(last), bytes(bad)], members) for members in ([0, 1], [1]))
    parities = [
        bytes(RtpPacket(122, False, (last.sequence + 2 + index) & 0xFFFF, 1, SSRC, payload))
        for index, payload in enumerate((both, one))
    ]
    frames = [frame for datagram in parities for frame in receiver.rtp(datagram, 0.0) or []]
    assert [frame.complete for frame in frames] == [True]
    assert receiver.counts.malformed == 1


def test_parity_follows_the_measured_loss() -> None:
    sender, _ = _pair(PLAIN, None)
    without = len(sender.frame(jpeg(1), 1))
    sender.measured_loss = 0.1
    assert len(sender.frame(jpeg(1), 2)) > without


@pytest.mark.parametrize("suite", SUITES)
def test_replayed_forged_and_foreign_packets_change_nothing(suite: str) -> None:
    sender, receiver = _pair(suite)
    other, _ = _pair(suite)
    datagrams = sender.frame(jpeg(1), 1)
    for datagram in datagrams[:4]:
        assert receiver.rtp(datagram, 0.0) == []
    before = (receiver.counts.accepted, receiver.reception.highest, receiver.assembler.in_flight)
    forged = [bytes([*one[:-1], one[-1] ^ 1]) for one in datagrams[4:]]
    rewritten = [one[:20] + bytes([one[20] ^ 1]) + one[21:] for one in datagrams[4:]]
    for hostile in (
        *datagrams[:4],
        *forged,
        *rewritten,
        *other.frame(jpeg(2), 1),
        b"",
        b"\x80" * 40,
    ):
        assert receiver.rtp(hostile, 0.001) is None
    assert before == (
        receiver.counts.accepted,
        receiver.reception.highest,
        receiver.assembler.in_flight,
    )
    frames = [frame for one in datagrams[4:] for frame in receiver.rtp(one, 0.002) or []]
    assert frames[0].complete


def test_reports_cross_and_measure_the_round_trip() -> None:
    sender, receiver = _pair("AEAD_AES_128_GCM")
    for datagram in sender.frame(jpeg(1), 0):
        receiver.rtp(datagram, 10.0)
    reports = receiver.rtcp(sender.report(0, 1000.0, goodbye=True), 10.0)
    assert reports is not None
    assert [type(report) for report in reports] == [SenderReport, Goodbye]
    block = receiver.reception.report(10.25)
    assert block.fraction_lost == 0 and block.delay == 65_536 // 4
    assert receiver.rtcp(bytes(ReceiverReport(SSRC)), 10.0) is None


def test_lost_packets_and_jitter_are_reported() -> None:
    sender, receiver = _pair(PLAIN)
    for frame in range(20):
        for index, datagram in enumerate(sender.frame(jpeg(1), frame * CLOCK_HZ // 10)):
            if index % 4:
                receiver.rtp(datagram, frame / 10 + 0.002 * (frame % 2))
    block = receiver.reception.report(3.0)
    assert 0.2 < block.fraction_lost / 256 < 0.3
    assert 20 < block.jitter < 400
    assert receiver.reception.report(4.0).fraction_lost == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 3), min_size=1, max_size=80))
def test_expected_packets_survive_wrapping(start: int, skips: list[int]) -> None:
    reception = Reception(SSRC)
    sequence = start
    reception.packet(sequence, 0, 0.0)
    for skip in skips:
        sequence = (sequence + 1 + skip) & 0xFFFF
        reception.packet(sequence, 0, 0.0)
    assert reception.expected == 1 + len(skips) + sum(skips)
    assert reception.lost == sum(skips)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    ("first", "second", "goes_on"),
    [
        (20_000, 20_400, True),
        (20_000, 22_445, True),
        (20_000, 50_000, True),
        (50_000, 65_500, True),
        (50_000, 49_995, False),
        (50_000, 48_000, False),
        (50_000, 10_000, False),
        (3_000, 100, False),
    ],
)
def test_a_sender_begun_anew_under_its_key_goes_on_or_is_known(
    suite: str, first: int, second: int, *, goes_on: bool
) -> None:
    """Ahead of all numbers used it goes on; behind it is refused: its keystream may be used."""
    crypto = suite_named(suite)
    assert crypto is not None
    key = new_key(crypto)
    receiver = StreamReceiver(SSRC, 0.05, None, Inbound(crypto, key, SSRC))

    def starts(sequence: int, stamp: int, now: float) -> int:
        settings = SenderSettings(tag_bytes=crypto.tag_bytes)
        sender = StreamSender(SSRC, settings, Outbound(crypto, key, SSRC))
        sender._sequence = sequence
        frames = 0
        for index in range(4):
            for datagram in sender.frame(jpeg(index), stamp + 9000 * index):
                frames += sum(one.complete for one in receiver.rtp(datagram, now) or ())
                sent.append(datagram)
            now += 0.1
        return frames

    sent: list[bytes] = []
    assert starts(first, 1000, 10.0) == 4
    recording = list(sent)
    answered = starts(second, 0x5000_0000, 11.0)
    if goes_on:
        assert answered == 4 and receiver.troubles == {"resumed": 1}
        assert receiver.reception.lost_in_all == 0
    else:
        assert answered < 4 and "restarted" in receiver.troubles
    receiver.troubles.clear()
    for at, datagram in enumerate(recording):
        assert receiver.rtp(datagram, 12.0 + at) is None
    assert not receiver.troubles


@pytest.mark.parametrize("suite", SUITES)
def test_a_recording_of_lost_packets_is_no_sender_begun_anew(suite: str) -> None:
    sender, receiver = _pair(suite)
    receiver.rtp(sender.frame(jpeg(0), 0)[0], 9.0)
    lost = sender.frame(jpeg(1), 9000)
    now = 10.0
    for index in range(2, 6):
        for datagram in sender.frame(jpeg(1), 9000 * index):
            receiver.rtp(datagram, now)
        sender._sequence = (sender._sequence + 400) & 0xFFFF
        now += 0.1
    for datagram in lost:
        now += 0.1
        assert receiver.rtp(datagram, now) is None
    assert not receiver.troubles


def test_datagrams_of_any_length_are_taken_or_refused() -> None:
    for name in SUITES:
        _, receiver = _pair(name)
        for length in (0, 1, 12, 1499, 1500, 1501, 9000, 65_507):
            assert receiver.rtp(b"\x80\x1a" + bytes(max(0, length - 2)), 0.0) is None
            assert receiver.rtcp(b"\x80\xc8" + bytes(max(0, length - 2)), 0.0) is None
