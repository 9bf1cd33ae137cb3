"""Addresses of gateways: what can be one, and what is said of the others."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hawkvision.errors import InvalidRequest
from hawkvision.serving.address import check_target, first_of


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:8001",
        "dc.example:1",
        "[::1]:8001",
        "[fe80::1%eth0]:80",
        "my_dc:65535",
        "dns:///dc.example:8001",
        "unix:/run/dc.sock",
        "ipv4:10.0.0.1:80,10.0.0.2:80",
    ],
)
def test_addresses(text: str) -> None:
    assert check_target(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "names no port"),
        ("", "names no port"),
        ("dc:", "is no port"),
        ("dc:0", "is no port"),
        ("dc:65536", "is no port"),
        ("dc:99999999999999999999", "is no port"),
        ("dc:٣٤", "is no port"),
        ("dc:http", "is no port"),
        (":8001", "is no host"),
        ("::1:8001", "is no host"),
        ("a b:8001", "is no host"),
        ("dc.example:8001/x", "is no port"),
        ("http://dc.example:8001", "is a URL"),
        ("grpc://dc:1", "is a URL"),
    ],
)
def test_others_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        check_target(text)
    assert refused.value.hint.startswith("Give ")


@given(some.text(max_size=30))
def test_nothing_else_is_raised(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        check_target(text)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("dc.example:8001", ("dc.example", 8001)),
        ("[::1]:8001", ("::1", 8001)),
        ("dns:///dc.example:8001", ("dc.example", 8001)),
        ("ipv4:192.0.2.1:1,192.0.2.2:2", ("192.0.2.1", 1)),
        ("unix:/nowhere", None),
    ],
)
def test_the_first_address_of_a_target(target: str, found: tuple[str, int] | None) -> None:
    assert first_of(target) == found


@given(some.text())
def test_whatever_a_target_is_it_has_an_address_or_none(text: str) -> None:
    found = first_of(text)
    assert found is None or 0 <= found[1] < 100_000
