"""What was delivered: the counts of a task's windows, and what is in force while they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hawkvision.contract.delivered import StoreStatus
from hawkvision.tracking.counts import PROBES, TASK_WIDE, Sums, add_up
from hawkvision.tracking.records import CountKey, ThresholdState
from hawkvision.tracking.store.base import Store

WINDOWS = {"5m": 300.0, "1h": 3600.0, "24h": 86_400.0}

Wanted = Callable[[CountKey], bool]


@dataclass(frozen=True, slots=True)
class DeliveredWindows:
    """One task's report; `windows` holds sums by target, and lacks those that cannot be read."""

    windows: Mapping[str, Mapping[str, Sums]]
    thresholds: Mapping[str, ThresholdState]
    audit_share: float
    store: StoreStatus


async def sums_by_target(
    store: Store, task: str, window_s: float, wanted: Wanted
) -> dict[str, Sums]:
    """The answers of a window by accuracy target, sorted. Raises StoreUnavailable."""
    found = await store.counts(task, window_s=window_s)
    kept: dict[str, list[Sums]] = {}
    for key, sums in found.items():
        if key.target not in (TASK_WIDE, PROBES) and wanted(key):
            kept.setdefault(key.target, []).append(sums)
    return {target: add_up(kept[target]) for target in sorted(kept)}
