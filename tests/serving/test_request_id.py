"""A request's public id: what of the client's word is taken, and where it is written."""

from __future__ import annotations

import logging
import re

import orjson
import pytest
from multidict import CIMultiDict

from hawkvision.serving.access.audit import AuditLog
from hawkvision.serving.logs import JsonLines, TextLines
from hawkvision.serving.request_id import About, RequestId, current

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
MADE = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize("sent", ["a", "Order-7.retry_2", "x" * 64])
def test_what_a_client_sends_is_its_id(sent: str) -> None:
    assert RequestId({"x-request-id": sent}).text == sent
    assert RequestId(CIMultiDict({"X-Request-Id": sent})).shown == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        "x" * 65,
        "a b",
        "a\r\nSet-Cookie: b",
        "a\n",
        "né",
        "١",
        '"}',
        "\x1b[2J",
        "a/b",
        "a;b",
    ],
)
def test_what_could_be_more_than_a_name_is_passed_over(sent: str) -> None:
    assert MADE.fullmatch(RequestId({"x-request-id": sent}).text)
    assert RequestId({"x-request-id": sent}).shown is None


def test_a_trace_names_a_request_that_brings_no_id() -> None:
    assert RequestId({"traceparent": PARENT}).text == TRACE
    assert RequestId({"traceparent": PARENT, "x-request-id": "mine"}).text == "mine"
    span = f"00-{'1' * 32}-{'2' * 16}-01"
    assert RequestId({}, span).text == "1" * 32
    assert RequestId({"traceparent": "00-0-0-01"}).shown is None


def test_an_id_is_made_once_and_only_when_somebody_asks() -> None:
    named = RequestId({})
    shown = [named.shown, named.text, named.text, named.shown]
    assert shown == [None, *[named.text] * 3]
    assert RequestId({}).text != named.text


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("a", logging.INFO, "", 0, text, None, None)


def test_lines_say_which_request_they_are_about() -> None:
    with About(RequestId({"x-request-id": "mine"})):
        line = orjson.loads(JsonLines().format(record("it failed")))
        text = TextLines().format(record("it failed"))
    assert line["request"] == "mine"
    assert "trace_id" not in line
    assert text.endswith("it failed [request mine]")


def test_lines_name_the_trace_beside_an_id_of_the_client_s() -> None:
    with About(RequestId({"x-request-id": "mine", "traceparent": PARENT})):
        line = orjson.loads(JsonLines().format(record("it failed")))
    assert (line["request"], line["trace_id"]) == ("mine", TRACE)


def test_lines_beside_requests_say_none() -> None:
    with About(RequestId({"x-request-id": "mine"})):
        pass
    assert current() is None
    assert "request" not in orjson.loads(JsonLines().format(record("it began")))
    assert TextLines().format(record("it began")).endswith(" INFO a: it began")


def test_the_audit_log_says_it_too(caplog: pytest.LogCaptureFixture) -> None:
    audit = AuditLog(None)
    caplog.set_level(logging.INFO)
    with About(RequestId({"x-request-id": "mine"})):
        audit.denied(key=None, peer="192.0.2.1", what="POST /v1/classify")
    audit.note("keys.reloaded", key=None, peer="itself")
    inside, beside = (orjson.loads(one) for one in caplog.messages)
    assert inside["request"] == "mine"
    assert "request" not in beside
