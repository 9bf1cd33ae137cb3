"""A sender's runs: where one ends and the next begins, what was lost, and who sends."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hawkvision.lossy.reception import MAX_DROPOUT, Arrival, Reception
from hawkvision.lossy.wire.rtp import CLOCK_HZ, sequence_distance, timestamp_distance

EVERY_S = 0.002
sequences = st.integers(0, 0xFFFF)
timestamps = st.integers(0, 0xFFFF_FFFF)
skips = st.lists(st.integers(0, 40), min_size=1, max_size=60)


class Sender:
    """A packet every 2 ms; `skip` are lost on the way."""

    def __init__(self, reception: Reception, sequence: int, timestamp: int, now: float) -> None:
        self.reception, self.now = reception, now
        self.sequence, self.timestamp = sequence, timestamp

    def send(self, skip: int = 0) -> Arrival:
        self.now += EVERY_S * (1 + skip)
        self.sequence = (self.sequence + 1 + skip) & 0xFFFF
        moved = round(EVERY_S * CLOCK_HZ) * (1 + skip)
        self.timestamp = (self.timestamp + moved) & 0xFFFF_FFFF
        return self.reception.packet(self.sequence, self.timestamp, self.now)


@given(sequences, timestamps, skips, sequences, timestamps, skips)
@example(65_495, 937_441, [40], 0, 0, [0])  # begins with the last number of the run before
def test_every_start_is_seen_and_hides_no_loss(
    sequence: int, stamp: int, first: list[int], other: int, other_stamp: int, second: list[int]
) -> None:
    """Wherever the second run begins: ahead by a little or a lot, or behind."""
    reception = Reception(1)
    before = Sender(reception, sequence, stamp, 100.0)
    assert {before.send(skip) for skip in (0, *first)} == {Arrival.USED}
    assert reception.lost == sum(first)
    after = Sender(reception, other, other_stamp, before.now + 0.5)
    assume(sequence_distance(other, before.sequence) != 0)  # goes on with the very next number
    clock = (before.timestamp + round(0.5 * CLOCK_HZ)) & 0xFFFF_FFFF
    assume(abs(timestamp_distance(other_stamp, clock)) > 11 * CLOCK_HZ)
    assert [after.send(), after.send()] == [Arrival.HELD, Arrival.BEGUN_ANEW]
    assert {after.send(skip) for skip in second} == {Arrival.USED}
    assert reception.lost == sum(second)
    assert reception.lost_in_all == sum(first) + sum(second)
    assert reception.restarts == 1
    assert reception.report(after.now).lost == sum(second)


@given(sequences, timestamps, st.data())
def test_loss_and_reordering_are_no_start(sequence: int, stamp: int, data: st.DataObject) -> None:
    reception = Reception(1)
    sender = Sender(reception, sequence, stamp, 5.0)
    sender.send()
    lost = 0
    for skip in data.draw(st.lists(st.integers(0, MAX_DROPOUT - 2), max_size=20)):
        assert sender.send(skip) is Arrival.USED
        lost += skip
        late = data.draw(st.integers(0, min(skip, 99)))
        if late:  # one of those that were skipped comes after all
            moved = late * round(EVERY_S * CLOCK_HZ)
            old = (sender.sequence - late) & 0xFFFF, (sender.timestamp - moved) & 0xFFFF_FFFF
            assert reception.packet(*old, sender.now) is Arrival.USED
            lost -= 1
    assert reception.restarts == 0 and reception.lost == lost


def test_one_stray_packet_changes_nothing() -> None:
    """Two in sequence make a start, RFC 3550 says; not where the run goes on between them."""
    reception = Reception(1)
    sender = Sender(reception, 1000, 0, 5.0)
    sender.send()
    for stray in range(40_000, 40_020):
        assert reception.packet(stray, 7, sender.now) is Arrival.HELD
        assert sender.send() is Arrival.USED
    assert reception.restarts == 0 and reception.lost == 0


def test_a_long_outage_is_begun_anew_as_rfc_3550_has_it() -> None:
    reception = Reception(1)
    sender = Sender(reception, 60_000, 0, 5.0)
    sender.send()
    assert sender.send(MAX_DROPOUT) is Arrival.HELD
    assert sender.send() is Arrival.BEGUN_ANEW
    assert reception.lost == 0 and reception.expected == 2


@pytest.mark.parametrize("ahead", [-30_000, -500, 500, 2445, 30_000])
def test_numbers_wrap_after_a_start_too(ahead: int) -> None:
    reception = Reception(1)
    Sender(reception, (0xFFFD - ahead) & 0xFFFF, 0, 5.0).send()
    after = Sender(reception, 0xFFFD, 0x7000_0000, 6.0)
    for _ in range(9):
        after.send()
    assert reception.restarts == 1 and reception.expected == reception.received == 9


@given(timestamps, st.integers(1, 400), st.integers(0, 400), timestamps)
def test_a_recording_is_not_taken_for_a_start(
    stamp: int, packets: int, index: int, other: int
) -> None:
    reception = Reception(1)
    sender = Sender(reception, 10, stamp, 5.0)
    sent = []
    for _ in range(packets):
        sender.send()
        sent.append(sender.timestamp)
    assert not reception.foreign(sent[index % packets], sender.now)
    elsewhere = (sent[-1] + 60 * CLOCK_HZ + other // 2) & 0xFFFF_FFFF
    if timestamp_distance(elsewhere, sent[0]) < -10 * CLOCK_HZ or (
        timestamp_distance(elsewhere, sent[-1]) > 0
    ):
        assert reception.foreign(elsewhere, sender.now)
    after = Sender(reception, 30_000, (sent[-1] + 60 * CLOCK_HZ) & 0xFFFF_FFFF, sender.now)
    for _ in range(3):
        after.send()
    assert reception.restarts == 1
    assert not reception.foreign(sent[index % packets], after.now)  # the earlier run's
