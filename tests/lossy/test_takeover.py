"""Whose packets a plain stream takes, and what a camera begun anew sends before that is sure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.lossy.binding import TAKEOVER_S, SourceAddress
from hawkvision.lossy.takeover import MOST_BYTES, MOST_PACKETS, Takeover

OLD, NEW, OTHER, ELSEWHERE = ("here", 1), ("here", 2), ("here", 3), ("there", 1)


def test_a_plain_stream_is_its_first_address_until_that_is_silent() -> None:
    source = SourceAddress()
    assert source.admits("a", 0.0) and source.admits("a", 0.4)
    assert not source.admits("b", 0.8) and not source.contested_s
    assert source.admits("b", 0.4 + TAKEOVER_S) and not source.admits("a", 1.0)
    assert not source.contested_s
    assert source.admits("b", 1.1) and _contested(source) == 1.1
    source.release()
    assert source.admits("c", 1.11)


def _contested(source: SourceAddress) -> float | None:
    return source.contested_s


def test_what_a_camera_sends_before_the_old_one_is_known_to_be_gone_is_taken() -> None:
    source = Takeover()
    assert source.packet(b"old", OLD, 0.0) == [b"old"]
    for number in range(4):
        assert source.packet(b"%d" % number, NEW, 0.1 * (number + 1)) == []
    assert source.next_due_s == TAKEOVER_S
    assert source.packet(b"last", NEW, 0.51) == [b"0", b"1", b"2", b"3", b"last"]
    assert source.packet(b"on", NEW, 0.52) == [b"on"]
    assert source.refused == 0 and source.contested_s is None and source.next_due_s is None


def test_a_camera_that_pauses_is_taken_when_the_silence_has_lasted() -> None:
    source = Takeover()
    source.packet(b"old", OLD, 0.0)
    assert source.packet(b"one", NEW, 0.1) == [] and source.poll(0.3) == ([], None)
    assert source.poll(TAKEOVER_S) == ([b"one"], NEW)
    assert source.poll(9.0) == ([], None)
    assert source.packet(b"two", NEW, 9.1) == [b"two"] and source.refused == 0


def test_of_two_cameras_at_once_the_second_is_refused() -> None:
    source = Takeover()
    for turn in range(5):
        assert source.packet(b"old", OLD, 0.1 * turn) == [b"old"]
        assert source.packet(b"new", NEW, 0.1 * turn + 0.05) == []
    assert source.packet(b"old", OLD, 0.5) == [b"old"]
    assert source.refused == 5 and source.contested_s == 0.5
    assert source.poll(9.0) == ([], None)


def test_after_a_goodbye_nothing_waits() -> None:
    source = Takeover()
    source.packet(b"old", OLD, 0.0)
    source.packet(b"early", NEW, 0.1)
    source.release()
    assert source.packet(b"new", NEW, 0.11) == [b"early", b"new"]


def test_another_host_is_never_kept() -> None:
    source = Takeover()
    source.packet(b"old", OLD, 0.0)
    assert source.packet(b"new", ELSEWHERE, 0.1) == [] and source.refused == 1
    assert source.packet(b"new", ELSEWHERE, 0.6) == [b"new"]


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    source = Takeover()
    source.packet(b"old", OLD, 0.0)
    sent = [number.to_bytes(4, "big") * 300 for number in range(3000)]
    for packet in sent:
        source.packet(packet, NEW, 0.1)
    taken, address = source.poll(1.0)
    assert address == NEW and sum(map(len, taken)) <= MOST_BYTES and len(taken) <= MOST_PACKETS
    assert taken == sent[-len(taken) :] and source.refused == len(sent) - len(taken)


steps = st.lists(
    st.tuples(st.sampled_from([OLD, NEW, OTHER, ELSEWHERE]), st.floats(0, 0.7)), max_size=40
)


@given(steps)
def test_every_packet_is_taken_once_in_its_own_order_or_refused(
    sent: list[tuple[tuple[str, int], float]],
) -> None:
    source, now, taken = Takeover(), 0.0, []
    for number, (address, wait) in enumerate(sent):
        now += wait
        taken += [(packet, heir) for packets, heir in [source.poll(now)] for packet in packets]
        taken += [(one, address) for one in source.packet(b"%d" % number, address, now)]
    taken += [(packet, heir) for packets, heir in [source.poll(now + 1)] for packet in packets]
    numbers = [int(packet) for packet, _ in taken]
    assert numbers == sorted(set(numbers))
    assert all(sent[number][0] == heir for number, (_, heir) in zip(numbers, taken, strict=True))
    assert len(taken) + source.refused == len(sent)
