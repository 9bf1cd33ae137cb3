"""The leader's sums: apps kept apart, counts that speak for nobody, news taken in once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.local import LocalTask
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository
from hawkvision.tracking.control.steering import ALL_APPS, FROZEN, TaskSteering
from hawkvision.tracking.counts import PROBES
from hawkvision.tracking.records import CountKey, ThresholdState, other
from tests.models import build_tiny_repository

Fresh = dict[CountKey, dict[str, float]]


@pytest.fixture
def steering(tmp_path: Path) -> TaskSteering:
    task = Repository(build_tiny_repository(tmp_path)).open("tiny")
    local = LocalTask.load(task, engine="onnx", limits=ImageLimits(), delta=0.05)
    return TaskSteering(local.policy)


def wrong_labels(app: str, pairs: float) -> Fresh:
    """Feedback by which the edge is always right and the data center never."""
    return {CountKey("tiny", app, "0.7"): {"pair/n": pairs, "pair/edge": pairs, "answers/dc/0": 9}}


def test_one_app_s_labels_freeze_only_that_app(steering: TaskSteering) -> None:
    good: Fresh = {CountKey("tiny", "good", "0.7"): {"answers/edge/0": 5.0}}
    states = steering.update(good | wrong_labels("bad", 40), {}, fence=1, now=1)
    frozen = {state.target: state.state for state in states if state.target.startswith(FROZEN)}
    assert frozen == {f"{FROZEN}bad": "frozen"}


def test_probes_speak_for_every_app(steering: TaskSteering) -> None:
    key = CountKey("tiny", "", PROBES)
    probes: Fresh = {key: {"pair/n": 40.0, "pair/edge": 40.0}}
    states = steering.update(probes, {}, fence=1, now=1)
    assert [(state.target, state.state) for state in states] == [(f"{FROZEN}{ALL_APPS}", "frozen")]


def test_nothing_happens_without_news(steering: TaskSteering) -> None:
    assert steering.update({}, {}, fence=1, now=0) == []
    first = steering.update(wrong_labels("a", 3), {}, fence=1, now=1)
    current = {state.target: state for state in first}
    assert steering.update({}, current, fence=1, now=2) == []


def test_what_is_fresh_adds_up(steering: TaskSteering) -> None:
    """Ten labels are too few to freeze an app; forty are not, however they come."""
    states: list[ThresholdState] = []
    for now in range(4):
        assert not any(state.target == f"{FROZEN}a" for state in states)
        states = steering.update(wrong_labels("a", 2), {}, fence=1, now=now)
    states = steering.update(wrong_labels("a", 32), {}, fence=1, now=5)
    assert f"{FROZEN}a" in {state.target for state in states}


def test_what_is_counted_together_freezes_nobody(steering: TaskSteering) -> None:
    folded: Fresh = {other("tiny"): {"pair/n": 90.0, "pair/edge": 90.0, "answers/dc/0": 90.0}}
    assert steering.update(folded, {}, fence=1, now=0) == []


def test_counters_for_targets_that_cannot_be_served_are_passed_over(
    steering: TaskSteering,
) -> None:
    odd: Fresh = {
        CountKey("tiny", "", target): {"answers/edge/0": 1.0}
        for target in ("0.9999", "nonsense", "0.5", "relative:0.1")
    }
    states = {state.target: state for state in steering.update(odd, {}, fence=3, now=1)}
    assert set(states) == {"0.5", "relative:0.1"}
    assert all(isinstance(state, ThresholdState) and state.fence == 3 for state in states.values())
