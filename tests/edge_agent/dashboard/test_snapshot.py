from __future__ import annotations

import pytest

from edge_agent.dashboard.snapshot import MOST_TARGETS, busiest, store_kind, target_view
from edge_agent.fleet.delivered import DeliveredWindows
from hawkvision.contract.delivered import StoreStatus
from hawkvision.tracking.records import ThresholdState


def found(
    windows: dict[str, dict[str, dict[str, float]]], **states: ThresholdState
) -> DeliveredWindows:
    return DeliveredWindows(windows, states, 0.03, StoreStatus(True))


def answers(count: float, confidence: float = 0.9) -> dict[str, float]:
    return {"answers/edge/0": count, "confidence/edge": count * confidence}


def test_a_target_has_its_estimate_and_where_it_is_from() -> None:
    target = target_view("0.9", found({"1h": {"0.9": answers(100)}}))
    window = target.windows["1h"]
    assert (target.asked, window.requests, window.source) == (0.9, 100, "prediction")
    assert window.low is not None and window.high is not None
    assert window.low < 0.9 < window.high


def test_a_relative_target_asks_for_no_number() -> None:
    target = target_view("relative:0.02", found({"1h": {"relative:0.02": answers(3)}}))
    assert target.asked is None


def test_the_busiest_targets_are_shown_and_the_others_counted() -> None:
    sums = {f"0.{number:03}": answers(number) for number in range(100, 100 + MOST_TARGETS + 3)}
    shown, more = busiest(found({"1h": sums}))
    assert len(shown) == MOST_TARGETS and more == 3
    assert shown == sorted(shown)
    assert "0.100" not in shown


def test_what_cannot_be_read_is_left_out() -> None:
    assert busiest(found({})) == ([], 0)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("memory", "memory"),
        ("off", "off"),
        ("redis://user:secret@host/0", "redis"),
        ("rediss+sentinel://:secret@a,b/main/0", "rediss+sentinel"),
    ],
)
def test_the_stores_address_is_not_shown(address: str, kind: str) -> None:
    assert store_kind(address) == kind
