"""The query of /v1/classify."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.parameters import (
    ClassifyParameters,
    parse_app_target,
    parse_classify,
)
from hawkvision.cascade import Accuracy
from hawkvision.contract.feedback import Feedback
from hawkvision.errors import InvalidRequest
from hawkvision.tasks.classification import Classification


def test_an_empty_query_leaves_everything_to_the_task() -> None:
    assert parse_classify({}) == ClassifyParameters()


def test_all_parameters_are_read() -> None:
    query = {"task": "t", "accuracy": "0.95", "deadline_ms": "200", "top_k": "5"}
    assert parse_classify(query) == ClassifyParameters("t", Accuracy(0.95), 200.0, 5)


@pytest.mark.parametrize("value", ["0", "1", "1.5", "-0.1", "abc", "", "nan", "inf", "95%"])
def test_an_accuracy_outside_0_and_1_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="accuracy"):
        parse_classify({"accuracy": value})


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "1e9"])
def test_a_deadline_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="deadline_ms"):
        parse_classify({"deadline_ms": value})


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "1001", "٣"])
def test_a_top_k_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="top_k"):
        parse_classify({"top_k": value})


def test_a_misspelt_parameter_is_named() -> None:
    with pytest.raises(InvalidRequest, match="acuracy"):
        parse_classify({"acuracy": "0.9"})


def test_an_app_has_a_plain_name() -> None:
    assert parse_classify({"app": "gate-1.b"}).app == "gate-1.b"
    for name in ("", "a b", "ä", "x" * 65, "a/b"):
        with pytest.raises(InvalidRequest):
            parse_classify({"app": name})


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["task", "accuracy", "deadline_ms", "request_id", "label", "class_id", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(json)
def test_any_body_is_parsed_or_refused(body: object) -> None:
    with contextlib.suppress(InvalidRequest):
        target = parse_app_target("gate", body)
        assert target.deadline_ms is None or target.deadline_ms > 0
    with contextlib.suppress(InvalidRequest):
        feedback = Feedback.parse(body)
        assert isinstance(feedback.request_id, str)
        assert Classification(("a", "b")).parse_feedback(feedback.truth) in (0, 1)


@given(st.dictionaries(st.sampled_from(["accuracy", "deadline_ms", "top_k"]), st.text()))
def test_any_text_parses_or_is_refused(query: dict[str, str]) -> None:
    try:
        parsed = parse_classify(query)
    except InvalidRequest:
        return
    assert parsed.accuracy is None or 0 < parsed.accuracy.value < 1
