"""The answer: an envelope for every kind of task, and the kind's own fields."""

from __future__ import annotations

from typing import Any

import pytest

from hawkvision.contract.answer import Answer, Guess, Promise
from hawkvision.errors import UnexpectedReply
from tests.contract.bodies import ANSWER, COUNTING


def test_a_classification_is_read_by_name() -> None:
    answer = Answer.parse(ANSWER)
    assert (answer.label, answer.class_id, answer.confidence) == ("green", 1, 0.75)
    assert answer.top_k == (Guess("green", 1, 0.75), Guess("red", 0, 0.25))
    assert answer.accuracy == Promise(0.8, certified=True, threshold=0.5)
    assert answer.certified


def test_another_kind_keeps_its_own_fields() -> None:
    answer = Answer.parse(COUNTING)
    assert answer.prediction == {key: COUNTING[key] for key in ("count", "confidence", "where")}
    assert (answer.confidence, answer.top_k) == (0.5, ())
    assert answer.accuracy.reason == "numerics" and not answer.certified


@pytest.mark.parametrize("name", ["label", "class_id"])
def test_another_kind_has_no_label_and_says_so(name: str) -> None:
    answer = Answer.parse(COUNTING)
    assert not hasattr(answer, name)
    with pytest.raises(AttributeError, match="'bolts' have no"):
        getattr(answer, name)


def test_a_reason_is_said_only_where_there_is_one() -> None:
    assert "reason" not in Promise(0.9, certified=True, threshold=0.5).as_dict()
    assert Promise(0.9, False, 0.5, "numerics").as_dict()["reason"] == "numerics"


def test_an_answer_in_little_room_lacks_what_matters_least() -> None:
    left = {key: ANSWER[key] for key in ANSWER if key not in ("top_k", "timing_ms", "task")}
    answer = Answer.parse(left)
    assert (answer.label, answer.task, answer.top_k, answer.timing_ms) == ("green", "", (), {})


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": "0.75"},
        {"confidence": float("nan")},
        {"confidence": True},
        {"label": 3},
        {"class_id": 1.5},
        {"top_k": [{"label": "green"}]},
        {"accuracy": 0.8},
        {"accuracy": {"target": 0.8, "certified": 1, "threshold": 0.5}},
        {"timing_ms": {"total": None}},
        {"escalated": None},
    ],
)
def test_what_a_property_would_stumble_over_is_refused_at_once(change: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedReply):
        Answer.parse(ANSWER | change)


@pytest.mark.parametrize("key", ["request_id", "confidence", "served_by", "accuracy", "class_id"])
def test_a_key_that_is_missing_is_named(key: str) -> None:
    with pytest.raises(UnexpectedReply, match=key):
        Answer.parse({name: ANSWER[name] for name in ANSWER if name != key})
