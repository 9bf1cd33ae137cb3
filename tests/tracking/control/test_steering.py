"""The leader's sums: apps kept apart, counts that speak for nobody, news taken in once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.local import LocalTask
from hawkvision.cascade import parse_accuracy
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository
from hawkvision.tracking import counts
from hawkvision.tracking.control.steering import ALL_APPS, FROZEN, TaskSteering
from hawkvision.tracking.counts import PROBES
from hawkvision.tracking.records import CountKey, ThresholdState, other
from hawkvision.tracking.store.counters import Counters
from hawkvision.tracking.trust import source_of, vouched
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


# Whose evidence moves whose thresholds.


def traffic(app: str, requests: int, wrong: float, target: str = "0.8") -> Fresh:
    """Requests of which the edge is fairly sure, with its error in the data center's eyes."""
    counters = Counters()
    key = CountKey("tiny", app, target)
    for _ in range(requests):
        counts.answered(
            counters.add,
            key,
            served_by="edge",
            degraded=None,
            loss_level=0.0,
            edge_confidence=0.8,
            answer_confidence=0.8,
        )
        counts.compared(
            counters.add,
            "tiny",
            edge_confidence=0.8,
            edge_error=wrong,
            dc_error=0.02,
            weight=1.0,
            source=source_of(app),
        )
    batch = counters.take(0.0)
    assert batch is not None
    return {key: dict(sums) for key, sums in batch.counts.items()}


def steered(steering: TaskSteering, rounds: list[Fresh]) -> dict[str, ThresholdState]:
    current: dict[str, ThresholdState] = {}
    for now, fresh in enumerate(rounds):
        states = steering.update(fresh, current, fence=1, now=now)
        current |= {state.target: state for state in states}
    return current


def floor_of(steering: TaskSteering) -> float:
    return steering.policy.resolve(parse_accuracy("0.8")).threshold


def test_anonymous_traffic_moves_no_app_with_a_key(steering: TaskSteering) -> None:
    gate, flood = traffic(vouched("gate"), 50, 0.01), traffic("", 500, 0.9)
    named = traffic("gate", 500, 0.9)  # anybody can write a name, and old agents did
    alone = steered(replace(steering), [gate] * 12)
    beside = steered(replace(steering), [gate | flood | named] * 12)
    assert beside["0.8"].threshold > floor_of(steering) + 0.1
    assert beside["+gate/0.8"] == alone["+gate/0.8"]


def test_an_app_goes_by_its_own_traffic_once_there_is_enough(steering: TaskSteering) -> None:
    rough = traffic(vouched("belt"), 300, 0.9)
    new = [rough | traffic(vouched("gate"), 5, 0.01)] * 10
    found = steered(replace(steering), new)
    assert found["+gate/0.8"].threshold > floor_of(steering) + 0.1  # as all apps with keys
    settled = [traffic(vouched("gate"), 300, 0.01)] * 3
    found = steered(replace(steering), settled + [rough | settled[0]] * 10)
    assert found["+belt/0.8"].threshold > floor_of(steering) + 0.1
    assert found["+gate/0.8"].threshold == pytest.approx(floor_of(steering), abs=0.02)


def test_without_keys_all_traffic_is_one(steering: TaskSteering) -> None:
    found = steered(steering, [traffic("gate", 200, 0.9) | traffic("belt", 200, 0.9, "0.85")] * 5)
    assert set(found) == {"0.8", "0.85"}
    assert found["0.8"].threshold > floor_of(steering)


def test_a_flood_of_targets_takes_no_other_source_s_room(steering: TaskSteering) -> None:
    flood = {CountKey("tiny", "", f"0.{n}"): {"answers/edge/0": 1.0} for n in range(100, 400)}
    steering.update(flood, {}, fence=1, now=0)
    states = steering.update(traffic(vouched("gate"), 9, 0.1), {}, fence=1, now=1)
    names = {state.target for state in states}
    assert "+gate/0.8" in names and len(names) == 201


def test_a_flood_of_apps_takes_a_bounded_memory(steering: TaskSteering) -> None:
    flood: Fresh = {}
    for number in range(700):
        flood |= wrong_labels(f"app{number}", 2) | traffic(vouched(f"app{number}"), 1, 0.1)
    steering.update(flood, {}, fence=1, now=0)
    assert len(steering._breakers) <= 512
    assert len(steering._evidence) <= 514 and len(steering._targets) <= 514
