"""Gauges of what was delivered: by enough samples, and never more than fifty targets."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edge_agent.fleet.delivered import DeliveredWindows, sums_by_target
from edge_agent.fleet.gauges import gauges_of
from hawkvision.contract.delivered import StoreStatus
from hawkvision.tracking.records import CountKey, ThresholdState


def windows(targets: Mapping[str, Mapping[str, float]]) -> DeliveredWindows:
    state = ThresholdState("0.9", 0.7, "steering", 1, 0.0)
    return DeliveredWindows({"5m": targets}, {"0.9": state}, 0.03, StoreStatus(available=True))


def test_a_target_s_gauges() -> None:
    sums = {"answers/edge/0": 6.0, "answers/dc/0": 2.0, "confidence/edge": 5.4, "confidence/dc": 2}
    gauges = dict(gauges_of(windows({"0.9": sums})))["0.9"]
    assert gauges["target"] == 0.9
    assert gauges["threshold"] == 0.7
    assert gauges["escalation_rate"] == 0.25
    assert gauges["audit_share"] == 0.03
    assert gauges["delivered_low"] < gauges["delivered"] == pytest.approx(0.925)


@pytest.mark.parametrize(("labels", "delivered"), [(4.0, 0.9875), (40.0, 0.0)])
def test_labels_are_believed_more_than_confidence_once_there_are_enough(
    labels: float, delivered: float
) -> None:
    sums = {"answers/edge/0": 80.0, "confidence/edge": 79.0, "feedback/edge/n": labels}
    gauges = dict(gauges_of(windows({"relative:0.02": sums})))["relative:0.02"]
    assert gauges["delivered"] == delivered
    assert "target" not in gauges


def test_the_busiest_fifty_targets_are_shown_and_the_others_together() -> None:
    counts = {
        CountKey("tiny", "", f"0.{100 + index}"): {"answers/edge/0": float(index)}
        for index in range(200)
    }
    shown = sums_by_target(counts, lambda _key: True)
    assert shown["other"]["answers/edge/0"] == sum(range(150))
    assert set(dict(gauges_of(windows(shown)))) == {f"0.{index}" for index in range(250, 300)} | {
        "other"
    }


def test_nothing_is_shown_while_the_store_is_away() -> None:
    assert dict(gauges_of(DeliveredWindows({}, {}, 0.03, StoreStatus(available=False)))) == {}
