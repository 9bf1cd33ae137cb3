"""Load that changes with time, arrivals at its rate, and what they ask for."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from loadtest.arrivals import LONGEST_S, arrivals
from loadtest.mix import parse_mix
from loadtest.shapes import parse_shape


@pytest.mark.parametrize(
    ("text", "at", "level"),
    [
        ("steady:20", 7, 20),
        ("ramp:1:41:40", 0, 1),
        ("ramp:1:41:40", 10, 11),
        ("ramp:1:41:40", 99, 41),
        ("ramp:41:1:40", 10, 31),
        ("burst:5:50:10:60", 49.9, 5),
        ("burst:5:50:10:60", 50, 50),
        ("burst:5:50:10:60", 60, 5),
        ("diurnal:5:50:300", 0, 5),
        ("diurnal:5:50:300", 150, 50),
        ("diurnal:5:50:300", 75, 27.5),
    ],
)
def test_a_shape_is_a_function_of_time(text: str, at: float, level: float) -> None:
    assert parse_shape(text).at(at) == pytest.approx(level)


@pytest.mark.parametrize(
    "text",
    ["", "wave:1:2", "steady", "steady:", "steady:0", "steady:-1", "steady:1:2", "steady:nan",
     "ramp:1:2:0", "ramp:1:2", "burst:1:2:61:60", "diurnal:0:0:60", "steady:inf"],
)  # fmt: skip
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no load shape"):
        parse_shape(text)


_TEXTS = st.one_of(
    st.builds("ramp:{:.2f}:{:.2f}:{:.2f}".format, *[st.floats(0.1, 1e3)] * 3),
    st.builds("diurnal:{:.2f}:{:.2f}:{:.2f}".format, *[st.floats(0.1, 1e3)] * 3),
)


@given(_TEXTS, st.floats(0, 1e5))
def test_no_load_is_above_the_highest(text: str, at: float) -> None:
    shape = parse_shape(text)
    assert 0 <= shape.at(at) <= shape.highest * (1 + 1e-9)


def test_arrivals_have_the_rate_of_their_shape_and_shares_add_up() -> None:
    shape = parse_shape("burst:20:200:5:10")
    slow = fast = 0
    for worker in range(2):
        drawn = arrivals(shape, 0.5, random.Random(worker))
        for after, somebody in takewhile(lambda one: one[0] < 100, drawn):
            fast += somebody and after % 10 >= 5
            slow += somebody and after % 10 < 5
    assert slow == pytest.approx(1000, abs=4 * 1000**0.5)
    assert fast == pytest.approx(10_000, abs=4 * 10_000**0.5)


def test_time_passes_where_nobody_arrives() -> None:
    drawn = arrivals(parse_shape("steady:0.01"), 1.0, random.Random(1))
    times = [next(drawn)[0] for _ in range(200)]
    assert all(0 < b - a <= LONGEST_S + 1e-9 for a, b in pairwise(times))


def test_a_mix_is_drawn_by_weight() -> None:
    mix = parse_mix("0.80, 0.90:3", float, "--targets")
    drawn = Counter(mix.draw(random.Random(seed)) for seed in range(4000))
    assert drawn[0.9] == pytest.approx(3000, abs=150) and drawn.total() == 4000


@pytest.mark.parametrize("text", ["", "high", "0.8:x", "0.8:0", "0.8:-1", "0.8:inf", "0.8,,0.9"])
def test_what_is_no_mix_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--targets"):
        parse_mix(text, float, "--targets")
