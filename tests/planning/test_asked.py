"""Targets, weights and links from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.cascade import Accuracy
from hawkvision.errors import InvalidRequest
from hawkvision.planning.asked import LINKS, Link, parse_link, parse_mix


def test_weights_become_shares() -> None:
    found = parse_mix("0.80:1, 0.90:2,0.95:1")
    assert [one.accuracy.value for one in found] == [0.80, 0.90, 0.95]
    assert [one.share for one in found] == [0.25, 0.5, 0.25]


def test_relative_targets_have_weights_too() -> None:
    first, second = parse_mix("relative:0.02:3,relative:0.05")
    assert (first.accuracy, first.share) == (Accuracy(0.02, True), 0.75)
    assert (second.accuracy, second.share) == (Accuracy(0.05, True), 0.25)


def test_a_target_that_stands_twice_has_the_sum() -> None:
    assert [one.share for one in parse_mix("0.9:1,0.8:1,0.90:2")] == [0.75, 0.25]


@pytest.mark.parametrize(
    "text", ["", "0.9:", "0.9:0", "0.9:-1", "0.9:nan", "0.9:inf", "0.9:1:2", "1.2", "relative", ","]
)
def test_no_mix(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_mix(text)


def test_no_more_targets_than_a_plan_takes() -> None:
    with pytest.raises(InvalidRequest, match="65 targets"):
        parse_mix(",".join(f"0.{index:03d}" for index in range(1, 66)))


@given(st.text(max_size=40))
def test_any_text_is_a_mix_or_refused(text: str) -> None:
    try:
        found = parse_mix(text)
    except InvalidRequest:
        return
    assert sum(one.share for one in found) == pytest.approx(1)


@given(st.text(max_size=40))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    try:
        found = parse_link(text)
    except InvalidRequest:
        return
    assert found.rtt_ms >= 0 and found.mbit > 0 and found.down_mbit > 0


def test_links() -> None:
    assert parse_link("rtt_ms=20,mbit=8") == Link(20, 8, 8)
    assert parse_link("rtt_ms=0, mbit=8, down_mbit=80") == Link(0, 8, 80)
    assert parse_link("lte") == LINKS["lte"]
    assert parse_link("lte,mbit=3") == Link(LINKS["lte"].rtt_ms, 3, LINKS["lte"].down_mbit)


@pytest.mark.parametrize(
    "text", ["", "isdn", "rtt_ms=20", "mbit=5", "rtt_ms=-1,mbit=5", "rtt_ms=1,mbit=0", "lan,lte",
             "rtt_ms=nan,mbit=1", "rtt_ms=1,mbit=1,loss=0.1"]
)  # fmt: skip
def test_no_link(text: str) -> None:
    with pytest.raises(InvalidRequest, match="link:"):
        parse_link(text)


def test_bytes_take_their_time() -> None:
    link = Link(20, 8, 80)
    assert link.up_ms(1000) == pytest.approx(1.0)
    assert link.down_ms(1000) == pytest.approx(0.1)
