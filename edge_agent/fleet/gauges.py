"""What the fleet delivered in the last 5 minutes, as gauges for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.fleet.delivered import DeliveredWindows
from hawkvision.tracking import estimate
from hawkvision.tracking.counts import Delivered
from hawkvision.tracking.records import OTHER_TARGET, ThresholdState


def gauges_of(found: DeliveredWindows) -> Iterator[tuple[str, dict[str, float]]]:
    """Gauges by target from the window `5m`; `sums_by_target` bounds how many there are."""
    for target, sums in found.windows.get("5m", {}).items():
        state = found.thresholds.get(target)
        yield target, _gauges(target, Delivered.read(sums), state, found.audit_share)


def _gauges(
    target: str, delivered: Delivered, state: ThresholdState | None, audit_share: float
) -> dict[str, float]:
    total = delivered.total
    values = {
        "escalation_rate": delivered.answered_by("dc") / total if total else 0.0,
        "audit_share": audit_share,
        "threshold": 0.0 if state is None else state.threshold,
    }
    if target != OTHER_TARGET and not target.startswith("relative:"):
        values["target"] = float(target)
    best = estimate.chosen(estimate.from_all_sources(delivered))
    if best is not None:
        values |= {
            "delivered": best.value,
            "delivered_low": best.low,
            "delivered_high": best.high,
        }
    return values
