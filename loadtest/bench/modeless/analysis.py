"""From what clients saw to rows: accuracy, tails and goodput, over all repetitions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from hawkvision.calibration.intervals import clopper_pearson
from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.experiment import Scenario

STABLE = 0.2
"""What differs by more than this share from one run to another is unstable."""
ANSWERED = 0.99
"""A system keeps up with a rate where it answers so many within the deadline."""
GAVE_UP = 0.5
"""One that answers fewer in time is not asked at higher rates."""
_NEVER = -1.0

Floats = npt.NDArray[np.float64]


def measured(columns: Mapping[str, Sequence[Any]], deadline_ms: float, seconds: float) -> Any:
    """One measurement: counts by target, percentiles of all that was due, rates.

    What was not answered counts in the percentiles as if it never came; in `waited_ms`, which has
    all of them as they were due, it is -1.
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
        "p99_ms": _percentile(waited, 99),
        "goodput": float((in_time & right).sum() / seconds),
        "by_target": by_target,
        "waited_ms": [_NEVER if math.isinf(one) else round(one, 2) for one in waited.tolist()],
    }


def gave_up(record: Mapping[str, Any]) -> bool:
    """Whether a measurement says that its system has far more than it can do."""
    return bool(record["in_time"] < GAVE_UP * record["due"])


def _percentile(waited: Floats, share: float) -> float | None:
    """None where it is among those that never came."""
    if not len(waited):
        return None
    return _finite(float(np.percentile(waited, share, method="higher")))


def _percentile_interval(waited: Floats, share: float) -> list[float | None]:
    """95 % interval of a percentile of `waited` [N], which rises, by its order statistics.

    Source: David and Nagaraja, Order Statistics (3rd ed.), 7.1. None where it has no end: the
    upper one takes some 370 requests for P99. It takes requests to be independent, which neighbours
    in a queue are not.
    """
    count = len(waited)
    low, high = (int(one) for one in binom.ppf([0.025, 0.975], count, share / 100))
    return [_finite(float(waited[one])) if 0 <= one < count else None for one in (low - 1, high)]


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _pooled(group: Sequence[Mapping[str, Any]]) -> Floats:
    return np.sort(np.concatenate([waited(record) for record in group]))


def waited(record: Mapping[str, Any]) -> Floats:
    """What each request of a measurement waited, ms [N] as they were due; inf for ever."""
    ms = np.array(record["waited_ms"], np.float64)
    return np.where(ms == _NEVER, np.inf, ms)


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
    pooled = _pooled(group)
    return {
        "name": system,
        "rate": rate,
        "scenario": scenario.name,
        "ladder": scenario.ladder,
        "link": scenario.link,
        "budget": scenario.budget,
        "mix": scenario.mix,
        "repetitions": len(group),
        "requests": due,
        **{f"p{share}_ms": _percentile(pooled, share) for share in (50, 95, 99)},
        "p99_ms_interval": _percentile_interval(pooled, 99),
        "p99_ms_repetitions": tails,
        "stable": agree(tails),
        "goodput": sum(one["goodput"] for one in group) / len(group),
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


def agree(values: Sequence[float | None]) -> bool:
    """Whether runs would agree within `STABLE`, by the N repetitions of one; False without a value.

    A run has all of them together and varies 1/√N as much as one does, so the largest may be
    (1 + STABLE)^√N times the least: of two repetitions just as many are further apart as two runs
    of them are by more than `STABLE`, where what varies is a factor of normal logarithm.
    """
    known = [one for one in values if one is not None]
    if len(known) < len(values) or not known:
        return False
    return max(known) <= math.pow(1 + STABLE, math.sqrt(len(known))) * min(known)


def _accuracy(
    group: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float], list[str], dict[str, list[float]]]:
    """By target: the share of right answers, whether its 95 % interval lies below, the interval.

    Repetitions ask for the same photos: the interval is of what one of them asks for.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in group:
        for target, (right, of) in one["by_target"].items():
            counts[target][0] += right
            counts[target][1] += of
    shares, missed, intervals = {}, [], {}
    for target, (right, of) in sorted(counts.items()):
        if not of:
            continue
        asked = max(round(of / len(group)), 1)
        low, high = clopper_pearson(round(asked * right / of), asked)
        shares[target] = round(right / of, 4)
        intervals[target] = [round(low, 4), round(high, 4)]
        if high < float(target):
            missed.append(target)
    return shares, missed, intervals


def keeps_up(row: Mapping[str, Any]) -> bool:
    """Whether the system answers nearly all of a rate within the deadline."""
    return bool(row["in_time_share"] >= ANSWERED)


def always_the_same(row: Mapping[str, Any], deadline_ms: float) -> bool:
    """Whether all repetitions say the same of it: P99 within the deadline is to keep up."""
    tails = row["p99_ms_repetitions"]
    return len({one is not None and one <= deadline_ms for one in tails}) == 1
