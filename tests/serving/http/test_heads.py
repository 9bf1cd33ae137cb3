"""A head is known again where only Content-Length is another and the whole body is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.http.heads import KnownHead

HEAD = b"POST /v1/classify?top_k=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-A: b\r\n\r\n"


def known(head: bytes = HEAD) -> KnownHead:
    found = KnownHead.of(head + b"abc", len(head), "message")
    assert found is not None and found.message == "message"
    return found


@given(body=st.binary(max_size=2000))
def test_the_same_head_with_any_body(body: bytes) -> None:
    sent = HEAD.replace(b": 3", b": %d" % len(body)) + body
    assert known().body_of(sent) == body


@given(
    body=st.binary(min_size=1, max_size=200), cut=st.integers(1, 400), more=st.binary(min_size=1)
)
def test_no_more_and_no_less_than_one_request(body: bytes, cut: int, more: bytes) -> None:
    sent = HEAD.replace(b": 3", b": %d" % len(body)) + body
    assert known().body_of(sent + more) is None
    assert known().body_of(sent[:-cut]) is None


@given(place=st.integers(0, len(HEAD) - 1), byte=st.integers(0, 255))
def test_any_other_byte_is_another_head(place: int, byte: int) -> None:
    sent = bytearray(HEAD + b"abc")
    same = sent[place] == byte
    sent[place] = byte
    assert (known().body_of(bytes(sent)) == b"abc") is same


@pytest.mark.parametrize(
    "digits", [b"", b"+3", b" 3", b"3 ", b"3,3", b"0x3", b"3\r\nX: y", b"0000000003"]
)
def test_a_length_is_a_few_digits(digits: bytes) -> None:
    assert known().body_of(HEAD.replace(b": 3", b": " + digits) + b"abc") is None


def test_names_are_in_letters_of_any_size_and_spaces_are_optional() -> None:
    head = HEAD.replace(b"Content-Length: 3", b"content-length:3")
    assert known(head).body_of(head + b"abc") == b"abc"
    assert known(head).body_of(HEAD + b"abc") is None


def test_long_heads_and_heads_without_a_length_are_not_remembered() -> None:
    chunked = HEAD.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked")
    assert KnownHead.of(chunked, len(chunked), None) is None
    long = HEAD.replace(b"X-A: b", b"X-A: " + b"b" * 2000)
    assert KnownHead.of(long + b"abc", len(long), None) is None
    assert KnownHead.of(HEAD[:20] + HEAD, 20, None) is None
