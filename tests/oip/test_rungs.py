"""From which rung a call comes: a parameter, whoever sends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.protobuf import parse_parameters, say_parameters
from hawkvision.oip.rungs import (
    BEGAN,
    FROM_RUNG,
    RUNGS,
    Said,
    ask_from,
    parse_from_rung,
    read_rungs,
    rungs_said,
)


@given(st.integers(1, 9))
def test_what_is_asked_is_read(rung: int) -> None:
    request = messages.ModelInferRequest()
    ask_from(request, rung)
    assert (FROM_RUNG in request.parameters) == (rung > 1)
    assert parse_from_rung(parse_parameters(request.parameters), 9) == rung


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint64_param", 0),
        ("uint64_param", 3),
        ("uint64_param", 2**64 - 1),
        ("int64_param", -1),
        ("string_param", "1"),
        ("bool_param", True),
        ("double_param", 1.0),
    ],
)
def test_no_place_of_a_rung_is_refused(kind: str, value: object) -> None:
    request = messages.ModelInferRequest()
    setattr(request.parameters[FROM_RUNG], kind, value)
    with pytest.raises(InvalidRequest, match="whole number from 1 to 2"):
        parse_from_rung(parse_parameters(request.parameters), 2)


def test_a_server_that_says_nothing_is_the_whole_chain() -> None:
    assert read_rungs(messages.ModelInferResponse(), 1, 3) == Said(rung=3, began=1)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_what_is_said_is_read(asked: int, later: int, further: int) -> None:
    began, rung = asked + later, asked + later + further
    reply = messages.ModelInferResponse()
    say_parameters(reply.parameters, rungs_said([rung], began if later else None))
    assert read_rungs(reply, asked, rung) == Said(rung, began)


@pytest.mark.parametrize(
    ("rungs", "began"),
    [("0", 0), ("4", 0), ("1", 2), ("2", 9), ("1,2", 0), ("x", 0), ("9" * 99, 0)],
)
def test_what_cannot_be_is_unreadable(rungs: str, began: int) -> None:
    reply = messages.ModelInferResponse()
    reply.parameters[RUNGS].string_param = rungs
    if began:
        reply.parameters[BEGAN].uint64_param = began
    with pytest.raises(ValueError, match=RUNGS):
        read_rungs(reply, 1, 3)
