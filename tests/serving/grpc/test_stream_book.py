"""Which streams there may be, and who makes way."""

from __future__ import annotations

import pytest

from hawkvision.errors import LimitReached
from hawkvision.serving.grpc.stream_book import StreamBook, StreamLimits
from hawkvision.serving.peers import Peer

LIMITS = StreamLimits(streams=4, share=0.5, patience_s=5.0, idle_s=60.0)
ANN, BOB, CID = Peer("a1", "a"), Peer("b1", "b"), Peer("c1", "c")


def full() -> StreamBook:
    book = StreamBook(LIMITS)
    for number, peer in enumerate((ANN, ANN, BOB, BOB)):
        book.open(peer, float(number))
    return book


def test_one_client_has_no_more_than_its_share() -> None:
    book = StreamBook(LIMITS)
    book.open(ANN, 0.0)
    book.open(ANN, 0.0)
    with pytest.raises(LimitReached, match="2 streams of this client"):
        book.open(ANN, 0.0)
    book.open(BOB, 0.0)


def test_a_place_that_is_given_back_is_free() -> None:
    book = full()
    seat = book.silent()[0]
    book.close(seat)
    book.close(seat)
    assert book.open(CID, 4.0)[1] is None
    assert len(book) == 4


def test_nobody_makes_way_who_sent_something_lately() -> None:
    with pytest.raises(LimitReached, match="4 streams are open"):
        full().open(CID, 4.9)


def test_whoever_is_silent_longest_makes_way() -> None:
    book = full()
    oldest = book.silent()[0]
    book.began(oldest, 8.0)
    book.ended(oldest, 8.5)
    gone = book.open(CID, 9.0)[1]
    assert gone is not None
    assert (gone.peer, gone.since) == (ANN, 1.0)
    assert len(book) == 4


def test_a_stream_whose_message_is_not_answered_is_not_silent() -> None:
    book = full()
    for seat in book.silent():
        book.began(seat, 4.0)
    assert book.silent() == []
    with pytest.raises(LimitReached):
        book.open(CID, 1000.0)
    assert book.outstayed(1000.0) == []


def test_a_silent_stream_ends_after_its_time() -> None:
    book = full()
    assert book.next_look() == 60.0
    assert [seat.since for seat in book.outstayed(61.0)] == [0.0, 1.0]
