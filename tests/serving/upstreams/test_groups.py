"""Upstreams as people name them."""

from __future__ import annotations

import pytest

from hawkvision.errors import InvalidRequest
from hawkvision.serving.upstreams.groups import MOST, parse_groups


def test_groups_in_order_and_equals_with_commas() -> None:
    assert parse_groups(["a:1, b:1", "[::1]:2"]) == (("a:1", "b:1"), ("[::1]:2",))


def test_a_name_of_grpc_s_own_is_one_upstream() -> None:
    assert parse_groups(["ipv4:1.2.3.4:1,5.6.7.8:1"]) == (("ipv4:1.2.3.4:1,5.6.7.8:1",),)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no address"),
        (["a:1,"], "names no port"),
        (["a:1,b"], "names no port"),
        (["a:1", "b:1,a:1"], "given twice"),
        ([f"a:{port}" for port in range(1, MOST + 2)], "more than"),
    ],
)
def test_what_cannot_be_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_groups(texts)
