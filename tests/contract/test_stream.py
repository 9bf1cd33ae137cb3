"""What a lossy stream says."""

from __future__ import annotations

import pytest

from hawkvision.contract.answer import Answer
from hawkvision.contract.stream import (
    Advice,
    FrameResult,
    StreamEnd,
    StreamEvent,
    parse_event,
    parse_offer,
)
from hawkvision.errors import CorruptImage, UnexpectedReply
from hawkvision.lossy.offer import StreamOffer
from tests.contract.bodies import ANSWER, ERROR, FRAME

OFFER = StreamOffer("s", "127.0.0.1", 5004, 7, "none", b"", 1200, 100.0, 50.0, 60.0, 20)


def test_an_error_stands_in_place_of_an_answer() -> None:
    result = FrameResult.parse({"frame": FRAME, "error": ERROR})
    assert isinstance(result.answer, CorruptImage)
    assert result.as_dict() == {"frame": FRAME, "error": ERROR}


def test_a_result_is_an_answer_and_its_frame() -> None:
    result = FrameResult.parse({**ANSWER, "frame": FRAME, "resend": False})
    assert result.answer == Answer.parse(ANSWER)
    assert (result.frame.lost_fraction, result.resend) == (0.25, False)


@pytest.mark.parametrize(
    "event",
    [
        FrameResult.parse({**ANSWER, "frame": FRAME, "resend": True}),
        Advice("congestion", "send less"),
        StreamEnd("expired"),
    ],
    ids=lambda event: event.event,
)
def test_an_event_is_known_by_its_name(event: StreamEvent) -> None:
    assert parse_event(event.event, event.as_dict()) == event


def test_an_event_of_another_name_is_refused() -> None:
    with pytest.raises(UnexpectedReply, match="'weather'"):
        parse_event("weather", {})


def test_an_offer_keeps_its_warning() -> None:
    assert parse_offer(OFFER.as_dict()) == OFFER
    assert "warning" not in OFFER.as_dict()
    body = OFFER.as_dict() | {"warning": "in the clear"}
    assert parse_offer(body).warning == "in the clear"


@pytest.mark.parametrize("body", [None, [], {}, {"id": "s"}, OFFER.as_dict() | {"address": 1}])
def test_anything_else_is_no_offer(body: object) -> None:
    with pytest.raises(UnexpectedReply):
        parse_offer(body)
