"""Work and answers between a gateway and whoever computes: round trips, damage, second tries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_gateway.upstreams.again import Lost, once_more
from dc_gateway.upstreams.base import Shipped
from dc_gateway.upstreams.wire import (
    Done,
    Work,
    decode_done,
    decode_work,
    encode_done,
    encode_work,
    results_of,
)
from hawkvision.errors import (
    CorruptImage,
    DeadlineExceeded,
    EngineError,
    Overloaded,
    UpstreamUnavailable,
)
from hawkvision.tasks.classification import Classification

KIND = Classification(("a", "b"), {})


@given(st.lists(st.binary(max_size=20), max_size=5), st.floats(-1, 60))
def test_work_comes_as_it_was_sent(images: list[bytes], left_s: float) -> None:
    assert decode_work(*encode_work(Work("t", "dc", images, left_s))) == Work(
        "t", "dc", images, left_s
    )


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"task": "t", "rung": "dc", "sizes": [3], "left_s": 1},
        {"task": "t", "rung": "dc", "sizes": [-1, 3], "left_s": 1},
        {"task": "t", "rung": "dc", "sizes": None, "left_s": 1},
    ],
)
def test_damaged_work_is_none(head: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"work|images"):
        decode_work(head, b"ab")


def test_answers_and_errors_come_in_their_places() -> None:
    rows = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    faults = {1: Overloaded("full", retry_after_s=7, hint="wait"), 3: CorruptImage("half")}
    done = decode_done(*encode_done(Done({"probabilities": rows}, faults)))
    first, full, second, corrupt = results_of(done, KIND, 4)
    assert (first.class_id, second.class_id) == (1, 0)
    assert isinstance(full, Overloaded) and (full.retry_after_s, full.hint) == (7, "wait")
    assert isinstance(corrupt, CorruptImage) and corrupt.message == "half"


def test_of_an_error_that_is_not_an_images_only_the_words_come() -> None:
    done = decode_done(*encode_done(Done({}, {0: EngineError("out of order")})))
    assert isinstance(results_of(done, KIND, 1)[0], EngineError)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ({}, b""),
        ({"outputs": [["probabilities", [1, 2]]], "faults": {}}, b"1234"),
        ({"outputs": [["probabilities", [-1, 2]]], "faults": {}}, b""),
        ({"outputs": [], "faults": {"x": ["a", "b", "c", 1]}}, b""),
        ({"outputs": [], "faults": None}, b""),
    ],
)
def test_damaged_answers_are_none(head: dict[str, Any], body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_done(head, body)


def test_fewer_answers_than_images_are_an_error() -> None:
    rows = np.array([[0.25, 0.75]], np.float32)
    with pytest.raises(ValueError, match="fewer answers than 2 images"):
        results_of(Done({"probabilities": rows}, {}), KIND, 2)


class Breaks:
    """Computes by upper case; what is in `poison` ends it each time, the first call always."""

    def __init__(self, poison: Sequence[bytes] = ()) -> None:
        self.poison = poison
        self.calls: list[int] = []

    def __call__(self, images: Sequence[Shipped]) -> list[Any]:
        self.calls.append(len(images))
        if len(self.calls) == 1 or any(one.image in self.poison for one in images):
            raise Lost
        return [one.image.upper() for one in images]


def shipped(*images: bytes, deadline: float = 10.0) -> list[Shipped]:
    return [Shipped(image, deadline) for image in images]


def lost_nobody() -> None:
    return None


def test_what_is_lost_is_tried_once_more_each_image_alone() -> None:
    breaks, lost = Breaks(), []
    found = once_more(breaks, shipped(b"a", b"b"), lambda: lost.append(1), lambda: 0.0)
    assert found == [b"A", b"B"]
    assert (breaks.calls, lost) == ([2, 1, 1], [1])


def test_an_image_that_ends_every_process_takes_no_other_with_it() -> None:
    breaks = Breaks(poison=[b"x"])
    first, bad, last = once_more(breaks, shipped(b"a", b"x", b"b"), lost_nobody, lambda: 0.0)
    assert (first, last) == (b"A", b"B")
    assert isinstance(bad, UpstreamUnavailable) and breaks.calls == [3, 1, 1, 1]


def test_nothing_is_tried_again_after_its_deadline() -> None:
    breaks = Breaks()
    images = [*shipped(b"a", deadline=1.0), *shipped(b"b", deadline=9.0)]
    late, answered = once_more(breaks, images, lost_nobody, lambda: 5.0)
    assert isinstance(late, DeadlineExceeded) and answered == b"B"
    assert breaks.calls == [2, 1]
