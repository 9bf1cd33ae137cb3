"""The query of /v1/classify."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.parameters import ClassifyParameters, parse_classify
from hawkvision.cascade import RelativeAccuracy
from hawkvision.errors import InvalidRequest, UnknownApp


def test_an_empty_query_leaves_everything_to_the_task() -> None:
    assert parse_classify({}) == ClassifyParameters()


def test_all_parameters_are_read() -> None:
    query = {"task": "t", "accuracy": "0.95", "deadline_ms": "200", "top_k": "5"}
    assert parse_classify(query) == ClassifyParameters("t", 0.95, 200.0, 5)


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


def test_an_unknown_app_is_refused() -> None:
    with pytest.raises(UnknownApp):
        parse_classify({"app": "gate"})


@given(st.dictionaries(st.sampled_from(["accuracy", "deadline_ms", "top_k"]), st.text()))
def test_any_text_parses_or_is_refused(query: dict[str, str]) -> None:
    try:
        parsed = parse_classify(query)
    except InvalidRequest:
        return
    accuracy = parsed.accuracy
    share = accuracy.epsilon if isinstance(accuracy, RelativeAccuracy) else accuracy
    assert share is None or 0 < share < 1
