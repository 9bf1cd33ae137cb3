"""Traffic is a task's own scores, and a drift what its networks said of damaged images."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.errors import InvalidRequest
from hawkvision.repository import Repository, shipped_repository
from loadtest.bench.fleet_sim.traffic import Traffic
from loadtest.traffic import TrafficSettings, load_traffic


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic.of(Repository(shipped_repository()).open("roadsigns"), 0.1)


def test_without_a_drift_all_images_are_calm_and_with_it_that_share_is_not(
    traffic: Traffic,
) -> None:
    rng, images = np.random.default_rng(1), traffic.confidence.shape[1]
    assert traffic.draw(rng, 1000, 0.0).max() < images
    assert traffic.draw(rng, 1000, 1.0).min() >= images
    assert (traffic.draw(rng, 10_000, 0.3) >= images).mean() == pytest.approx(0.3, abs=0.03)


def test_both_ends_are_the_two_sides_alone(traffic: Traffic) -> None:
    accuracy, escalated = traffic.expected(0.0, 0.0)
    assert accuracy == pytest.approx(1 - traffic.edge_error[0].mean())
    assert escalated == 0.0
    accuracy, escalated = traffic.expected(1.01, 1.0)
    assert accuracy == pytest.approx(1 - traffic.dc_error[1].mean())
    assert escalated == 1.0


def test_the_edge_is_believed_as_often_as_it_is_right(traffic: Traffic) -> None:
    assert traffic.edge_believed[0].mean() == pytest.approx(traffic.edge_error[0].mean(), abs=0.01)


def test_a_target_out_of_reach_needs_the_best_there_is(traffic: Traffic) -> None:
    accuracy, _ = traffic.needed(0.999, 1.0)
    assert accuracy >= traffic.expected(1.01, 1.0)[0]
    low, escalated = traffic.needed(0.5, 0.0)
    assert low >= 0.5
    assert escalated == 0.0


def test_a_drift_beyond_the_scores_is_refused() -> None:
    task = Repository(shipped_repository()).open("roadsigns")
    with pytest.raises(InvalidRequest, match="end at"):
        Traffic.of(task, 0.9)


def test_images_are_what_the_rungs_say_of_them() -> None:
    task = Repository(shipped_repository()).open("roadsigns")
    drawn = Traffic.of_images(task, load_traffic(TrafficSettings(None, None, 300, 5)))
    assert drawn.confidence.shape == (2, 300)
    assert drawn.edge_error[0].mean() == pytest.approx(0.19, abs=0.1)
    assert drawn.dc_error[0].mean() < 0.08
    assert ((drawn.edge_believed >= 0) & (drawn.edge_believed <= 1)).all()
