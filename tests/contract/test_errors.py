"""Errors cross the API and stay what they were."""

from __future__ import annotations

import pytest
from hypothesis import given

from hawkvision import errors
from hawkvision.contract.errors import error_body, parse_error
from hawkvision.errors import HawkVisionError, Overloaded, TargetUnreachable
from tests.contract.bodies import json_values

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HawkVisionError) and kind is not HawkVisionError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_it_was(kind: type[HawkVisionError]) -> None:
    error = (
        TargetUnreachable("no", highest=0.93, hint="less")
        if kind is TargetUnreachable
        else kind("no", hint="less")
    )
    again = parse_error(error_body(error)["error"])
    assert type(again) is kind
    assert again.as_dict() == error.as_dict()


def test_overload_takes_the_time_from_the_header() -> None:
    body = error_body(Overloaded("full"))["error"]
    for header, seconds in (("3", 3), (None, 1), ("Wed, 21 Oct", 1), ("²", 1), ("9" * 400, 999999)):
        again = parse_error(body, header)
        assert isinstance(again, Overloaded) and again.retry_after_s == seconds


def test_a_code_of_a_later_version_is_kept() -> None:
    again = parse_error({"code": "teapot", "message": "short", "hint": "and stout"})
    assert (again.code, again.message, again.hint) == ("teapot", "short", "and stout")


@given(json_values)
def test_an_error_that_is_badly_put_is_still_an_error(body: object) -> None:
    assert isinstance(parse_error(body), HawkVisionError)
    assert isinstance(
        parse_error({"code": "target_unreachable", "highest_certifiable": body}), TargetUnreachable
    )
