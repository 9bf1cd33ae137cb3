"""Every body of the contract: there and back to the byte, and nothing else gets through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkvision.errors import UnexpectedReply
from tests.contract.bodies import EVERY, damaged, json_values

every = pytest.mark.parametrize(("parse", "body"), EVERY.values(), ids=list(EVERY))
Parse = Callable[[object], Any]


@every
def test_what_is_parsed_says_the_same_to_the_byte(parse: Parse, body: dict[str, Any]) -> None:
    assert orjson.dumps(parse(body).as_dict()) == orjson.dumps(body)


@every
def test_what_is_said_is_parsed_to_the_same(parse: Parse, body: dict[str, Any]) -> None:
    parsed = parse(body)
    assert parse(orjson.loads(orjson.dumps(parsed.as_dict()))) == parsed


@every
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_damaged_body_is_read_or_refused(
    parse: Parse, body: dict[str, Any], data: st.DataObject
) -> None:
    with contextlib.suppress(UnexpectedReply):
        parse(data.draw(damaged(body))).as_dict()


@every
@given(other=json_values)
@settings(deadline=None)
def test_anything_else_is_refused(parse: Parse, body: dict[str, Any], other: object) -> None:
    with pytest.raises(UnexpectedReply):
        parse(other)
