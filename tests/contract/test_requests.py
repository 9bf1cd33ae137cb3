"""What clients send: apps' targets and feedback."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given

from hawkvision.contract.apps import AppInfo
from hawkvision.contract.feedback import Feedback
from hawkvision.errors import InvalidRequest
from tests.contract.bodies import json_values


@pytest.mark.parametrize("deadline_ms", [None, 80.0])
@pytest.mark.parametrize("accuracy", [0.9, "relative:0.02"])
def test_an_app_is_asked_for_as_it_is_stored(
    accuracy: float | str, deadline_ms: float | None
) -> None:
    app = AppInfo("gate", "tiny", accuracy, deadline_ms)
    assert AppInfo.parse_request("gate", app.as_request()) == app


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'colour'"):
        AppInfo.parse_request("gate", {"task": "tiny", "accuracy": 0.9, "colour": 1})


@pytest.mark.parametrize(
    ("truth", "body"),
    [
        ("green", {"request_id": "r", "label": "green"}),
        (3, {"request_id": "r", "class_id": 3}),
        ({"count": 2}, {"request_id": "r", "count": 2}),
    ],
)
def test_a_truth_is_a_label_a_class_or_the_kind_s_own(truth: object, body: object) -> None:
    feedback = Feedback.of("r", truth)  # type: ignore[arg-type]
    assert feedback.as_dict() == body
    assert Feedback.parse(body) == feedback


@given(json_values)
def test_anything_else_is_an_invalid_request(body: object) -> None:
    with contextlib.suppress(InvalidRequest):
        Feedback.parse(body)
    with contextlib.suppress(InvalidRequest):
        AppInfo.parse_request("gate", body)
