from __future__ import annotations

import base64

import cv2
import numpy as np

from edge_agent.classify import answer_of
from edge_agent.dashboard.recent import MOST, Recent, picture
from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from hawkvision.images import ImageLimits
from tests.edge_agent.agents import outcome, prediction
from tests.models import LABELS, coloured_jpeg

LIMITS = ImageLimits()


def given(local: LocalTask, image: bytes | None = None, app: str = "") -> Outcome:
    return outcome(local, prediction(1, 0.9), app=app, image=image)


async def test_an_answer_is_shown_with_who_asked_and_who_answered(local: LocalTask) -> None:
    recent = Recent(LIMITS, clock=lambda: 5.0)
    one = given(local, app="+gate")
    recent.answered(one, answer_of(one, "id"))
    [shown] = await recent.take()
    assert shown["label"] == LABELS[1]
    assert (shown["app"], shown["served_by"], shown["t"]) == ("gate", "edge", 5.0)
    assert "picture" not in shown


async def test_an_answer_is_taken_once(local: LocalTask) -> None:
    recent = Recent(LIMITS)
    one = given(local)
    recent.answered(one, answer_of(one, "id"))
    await recent.take()
    assert await recent.take() == []


async def test_the_newest_answers_between_two_looks_are_kept(local: LocalTask) -> None:
    recent = Recent(LIMITS)
    one = given(local)
    for _ in range(3 * MOST):
        recent.answered(one, answer_of(one, "id"))
    assert len(await recent.take()) == MOST


async def test_pictures_are_made_where_they_are_asked_for(local: LocalTask) -> None:
    recent = Recent(LIMITS, pictures=True)
    one = given(local, coloured_jpeg(LABELS[0], seed=1))
    for _ in range(6):
        recent.answered(one, answer_of(one, "id"))
    shown = await recent.take()
    assert [bool(answer.get("picture")) for answer in shown] == [False] * 2 + [True] * 4


async def test_large_images_are_not_held_beyond_a_bound(local: LocalTask) -> None:
    recent = Recent(LIMITS, pictures=True)
    large = given(local, b"x" * (17 * 1024 * 1024))
    recent.answered(large, answer_of(large, "id"))
    [shown] = await recent.take()
    assert "picture" not in shown


def test_a_picture_is_small_and_has_the_images_shape() -> None:
    encoded = cv2.imencode(".png", np.full((400, 800, 3), 90, np.uint8))[1].tobytes()
    url = picture(encoded, LIMITS)
    assert url is not None
    small = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    assert np.asarray(cv2.imdecode(small, cv2.IMREAD_COLOR)).shape == (48, 96, 3)


def test_a_broken_image_has_no_picture() -> None:
    assert picture(b"\xff\xd8\xff nothing", LIMITS) is None
