"""From what clients saw to rows: accuracy, tails, goodput, and which cells can be compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from hawkvision.calibration.intervals import clopper_pearson
from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.experiment import Scenario

STABLE = 0.2
"""Repetitions whose P99 lie further apart than this share from their median are unstable."""
ANSWERED = 0.99
"""A system keeps up with a rate where it answers so many within the deadline."""


def measured(columns: Mapping[str, Sequence[Any]], deadline_ms: float, seconds: float) -> Any:
    """One measurement: counts by target, percentiles of all that was due, rates.

    What was not answered counts in the percentiles as if it never came.
    """
    ms = np.array(columns["ms"], np.float64)
    right = np.array(columns["right"], bool)
    answered = np.array(columns["status"]) == 200
    waited = np.where(answered, ms, np.inf)
    in_time = answered & (ms <= deadline_ms)
    target = np.array(columns["target"], np.float64)
    by_target = {
        f"{one:.2f}": [
            int((right & answered)[target == one].sum()),
            int(answered[target == one].sum()),
        ]
        for one in sorted(set(columns["target"]))
    }
    away = np.array([one == "dc" for one in columns["by"]], bool)
    return {
        "due": len(ms),
        "answered": int(answered.sum()),
        "in_time": int(in_time.sum()),
        "refused": int((np.array(columns["status"]) == 503).sum()),
        "escalated": int((away & answered).sum()),
        "degraded": int(np.array(columns["degraded"])[answered].sum()),
        "p50_ms": _percentile(waited, 50),
        "p95_ms": _percentile(waited, 95),
        "p99_ms": _percentile(waited, 99),
        "goodput": float((in_time & right).sum() / seconds),
        "by_target": by_target,
    }


def _percentile(waited: np.ndarray[Any, Any], share: float) -> float | None:
    """None where it is among those that never came."""
    if not len(waited):
        return None
    found = float(np.percentile(waited, share, method="higher"))
    return None if math.isinf(found) else found


def rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each system, rate and scenario, over its repetitions."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        scenario = Scenario(**record["scenario"])
        found[scenario, record["system"], record["rate"]].append(record)
    made = [_row(key[0], key[1], key[2], group) for key, group in found.items()]
    order = {name: place for place, name in enumerate(experiment.SYSTEMS)}
    return sorted(made, key=lambda row: (row["scenario"], row["rate"], order[row["name"]]))


def _row(
    scenario: Scenario, system: str, rate: float, group: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    accuracy, missed, intervals = _accuracy(group)
    due, answered = sum(one["due"] for one in group), sum(one["answered"] for one in group)
    tails = [one["p99_ms"] for one in group]
    stable = None not in tails and all(
        abs(one - median(tails)) <= STABLE * median(tails) for one in tails
    )
    return {
        "name": system,
        "rate": rate,
        "scenario": scenario.name,
        "ladder": scenario.ladder,
        "link": scenario.link,
        "budget": scenario.budget,
        "mix": scenario.mix,
        "repetitions": len(group),
        **{key: _middle(group, key) for key in ("p50_ms", "p95_ms", "p99_ms")},
        "p99_ms_range": None if None in tails else [min(tails), max(tails)],
        "stable": stable,
        "goodput": median(one["goodput"] for one in group),
        "goodput_range": [
            min(one["goodput"] for one in group),
            max(one["goodput"] for one in group),
        ],
        "rss_mb": max(one["rss_mb"] for one in group),
        "accuracy": accuracy,
        "accuracy_intervals": intervals,
        "missed": missed,
        "answered_share": answered / due if due else 0.0,
        "in_time_share": sum(one["in_time"] for one in group) / due if due else 0.0,
        "escalated_share": sum(one["escalated"] for one in group) / answered if answered else 0.0,
        "degraded_share": sum(one["degraded"] for one in group) / answered if answered else 0.0,
        "loads": sum(one["loads"] for one in group),
        "evictions": sum(one["evictions"] for one in group),
        "load_s": sum(one["load_s"] for one in group),
        "link_bytes_per_request": sum(one["link_bytes"] for one in group) / due if due else 0.0,
        "cpu_s_per_thousand": 1e3 * sum(one["cpu_s"] for one in group) / answered
        if answered
        else None,
    }


def _middle(group: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [one[key] for one in group]
    return None if None in values else float(median(values))


def _accuracy(
    group: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float], list[str], dict[str, list[float]]]:
    """By target: the share of right answers, whether its 95 % interval lies below, the interval."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in group:
        for target, (right, of) in one["by_target"].items():
            counts[target][0] += right
            counts[target][1] += of
    shares, missed, intervals = {}, [], {}
    for target, (right, of) in sorted(counts.items()):
        if not of:
            continue
        low, high = clopper_pearson(right, of)
        shares[target] = round(right / of, 4)
        intervals[target] = [round(low, 4), round(high, 4)]
        if high < float(target):
            missed.append(target)
    return shares, missed, intervals


def keeps_up(row: Mapping[str, Any]) -> bool:
    """Whether the system answers nearly all of a rate within the deadline."""
    return bool(row["in_time_share"] >= ANSWERED)


def verdicts(made: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """HawkVision against the others, scenario by scenario.

    `p99`: how many times longer model switching's P99 is, at every rate that it keeps up with.
    `goodput`: HawkVision's over the best baseline's, at the lowest rate that no baseline keeps up
    with. Systems that miss a target are not compared.
    """
    scenarios: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in made:
        scenarios[row["scenario"]].append(row)
    found = []
    for name, group in scenarios.items():
        by = {(row["name"], row["rate"]): row for row in group}
        rates = sorted({row["rate"] for row in group})
        found.append(
            {
                "scenario": name,
                "p99": _p99_ratios(by, rates),
                "goodput": _goodput_ratio(by, rates),
            }
        )
    return found


def _p99_ratios(
    by: Mapping[tuple[str, float], Mapping[str, Any]], rates: Sequence[float]
) -> list[dict[str, Any]]:
    ratios = []
    for rate in rates:
        ours, theirs = by.get((experiment.HAWKVISION, rate)), by.get((experiment.SWITCHING, rate))
        if ours is None or theirs is None or not keeps_up(theirs):
            continue
        if ours["p99_ms"] is None or theirs["p99_ms"] is None:
            continue
        ratios.append(
            {
                "rate": rate,
                "ratio": theirs["p99_ms"] / ours["p99_ms"],
                "stable": bool(ours["stable"] and theirs["stable"]),
                "missed": [row["name"] for row in (ours, theirs) if row["missed"]],
            }
        )
    return ratios


def _goodput_ratio(
    by: Mapping[tuple[str, float], Mapping[str, Any]], rates: Sequence[float]
) -> dict[str, Any] | None:
    others = [
        name
        for name in experiment.SYSTEMS
        if name not in (experiment.HAWKVISION, experiment.ONE_RUNG)
    ]
    for rate in rates:
        ours = by.get((experiment.HAWKVISION, rate))
        rows = [by[name, rate] for name in others if (name, rate) in by]
        fair = [row for row in rows if not row["missed"]]
        if ours is None or not fair or any(keeps_up(row) for row in fair):
            continue
        best = max(fair, key=lambda row: row["goodput"])
        if not best["goodput"]:
            continue
        return {
            "rate": rate,
            "best": best["name"],
            "ratio": ours["goodput"] / best["goodput"],
            "missed": bool(ours["missed"]),
        }
    return None
