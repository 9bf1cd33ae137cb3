"""Drifts that the controller must ride out, over made-up traffic whose truth is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hawkvision.cascade import Accuracy, CascadePolicy
from tests.tracking.traffic import CLEAN, Condition, Outcome, calibration, replay

TARGET = 0.9
SEEDS = range(6)
DRIFTS = {
    "edge overconfident": Condition(a=5.0, over=0.06),
    "edge unsure and worse": Condition(a=2.5, over=0.1, dc=0.95, dc_says=0.95),
    "both worse": Condition(a=2.5, over=0.15, dc=0.85, dc_says=0.85),
    "mild": Condition(a=4.5, over=0.02),
}


@cache
def runs(drift: str, steered: bool) -> list[Outcome]:
    phases = [(CLEAN, 1500), (DRIFTS[drift], 5000), (CLEAN, 5000)]
    return [replay(phases, TARGET, seed=seed, steered=steered) for seed in SEEDS]


def mean(outcomes: list[Outcome], what: str, part: slice) -> float:
    return float(np.mean([getattr(one, what)[part].mean() for one in outcomes]))


@pytest.mark.parametrize("drift", DRIFTS)
def test_accuracy_comes_back_within_2500_requests(drift: str) -> None:
    steered, fixed = runs(drift, True), runs(drift, False)
    late = slice(1500 + 2500, 6500)
    best = max(DRIFTS[drift].dc, mean(fixed, "right", late))
    got = mean(steered, "right", late)
    assert got >= min(TARGET, best) - 0.015
    assert got >= mean(fixed, "right", late) - 0.01


@pytest.mark.parametrize("drift", DRIFTS)
def test_at_most_five_percent_are_audited(drift: str) -> None:
    for one in runs(drift, True):
        total = np.concatenate([[0], np.cumsum(one.audited)])
        assert ((total[2500:] - total[:-2500]) / 2500).max() <= 0.05


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_threshold_settles_and_relaxes(drift: str) -> None:
    floor = CascadePolicy(calibration(), TARGET).resolve(Accuracy(TARGET)).threshold
    steered = runs(drift, True)
    spread = np.mean([np.minimum(one.threshold[4500:6500], 1).std() for one in steered])
    assert spread <= 0.05
    ending = np.mean([one.threshold[-500:].mean() for one in steered])
    assert abs(ending - floor) <= 0.05


def test_clean_traffic_costs_hardly_anything() -> None:
    steered, fixed = (
        [replay([(CLEAN, 5000)], TARGET, seed=seed, steered=on) for seed in SEEDS]
        for on in (True, False)
    )
    whole = slice(0, 5000)
    assert mean(steered, "escalated", whole) <= mean(fixed, "escalated", whole) + 0.08


def test_labels_stop_escalation_that_hurts() -> None:
    harm = Condition(a=3.5, dc=0.45, dc_says=0.9, fooled=True)
    phases = [(CLEAN, 1500), (harm, 5000)]
    late = slice(1500 + 2500, 6500)
    fixed = [replay(phases, TARGET, seed=seed, steered=False) for seed in SEEDS]
    warned = [replay(phases, TARGET, seed=seed, labels=0.1) for seed in SEEDS]
    blind = [replay(phases, TARGET, seed=seed) for seed in SEEDS]
    assert mean(warned, "right", late) >= mean(fixed, "right", late) - 0.02
    assert mean(blind, "right", late) < mean(fixed, "right", late) - 0.1
