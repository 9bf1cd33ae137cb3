"""What was delivered: the counts of a task's windows, and what is in force while they are read."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hawkvision.contract.delivered import StoreStatus
from hawkvision.tracking.counts import PROBES, TASK_WIDE, Sums, add_up
from hawkvision.tracking.records import OTHER_TARGET, CountKey, Counts, ThresholdState

WINDOWS = {"5m": 300.0, "1h": 3600.0, "24h": 86_400.0}

MOST_TARGETS = 50
"""Shown apart in a report, those with the most requests; the others together as `other`."""

Wanted = Callable[[CountKey], bool]


@dataclass(frozen=True, slots=True)
class DeliveredWindows:
    """One task's report; `windows` holds sums by target, and lacks those that cannot be read."""

    windows: Mapping[str, Mapping[str, Sums]]
    thresholds: Mapping[str, ThresholdState]
    audit_share: float
    store: StoreStatus


def sums_by_target(found: Counts, wanted: Wanted, most: int = MOST_TARGETS) -> Mapping[str, Sums]:
    """The answers of a window by accuracy target, sorted; those beyond `most` under `other`."""
    kept: dict[str, list[Sums]] = {}
    for key, sums in found.items():
        if key.target not in (TASK_WIDE, PROBES) and wanted(key):
            kept.setdefault(key.target, []).append(sums)
    added = {target: add_up(kept[target]) for target in sorted(kept)}
    if len(added) <= most:
        return added
    busiest = set(heapq.nlargest(most, added, key=lambda target: _answers(added[target])))
    shown: dict[str, Sums] = {target: sums for target, sums in added.items() if target in busiest}
    rest = [sums for target, sums in added.items() if target not in busiest]
    shown[OTHER_TARGET] = add_up([shown.get(OTHER_TARGET, {}), *rest])
    return shown


def _answers(sums: Sums) -> float:
    return sum(amount for name, amount in sums.items() if name.startswith("answers/"))
