"""What a simulated run says, in figures. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from hawkvision.cascade import Accuracy
from loadtest.bench.fleet_sim.fleet import Ran
from loadtest.bench.fleet_sim.record import ANSWERED, DEGRADED, ESCALATED, EXPECTED, RIGHT, Floats
from loadtest.bench.fleet_sim.settings import Phase

TOLERANCE = 0.01
"""Below the target; an accuracy within it counts as kept."""

_WINDOW = 500.0
"""Requests over which an accuracy is looked at, as `bench drift` does."""

_LAST = 0.25
"""Of a phase, the part in which thresholds count as settled."""


def spans(phases: tuple[Phase, ...]) -> list[tuple[float, float]]:
    """(begin, end) of each, seconds."""
    ends = np.cumsum([phase.seconds for phase in phases])
    return [(float(end - one.seconds), float(end)) for end, one in zip(ends, phases, strict=True)]


def gateways(ran: Ran) -> dict[str, Any]:
    """How loaded they were: `busy` and `front` are shares of the threads and of the loops."""
    record, costs = ran.record, ran.plan.costs
    begin, end = (int(one) for one in spans(ran.plan.phases)[-1])
    work = np.array(record.work)
    calls, busy, front = (work[min(end, len(work) - 1)] - work[begin]) / (end - begin)
    waits = np.concatenate([np.asarray(one.waits) for one in ran.gateways] or [np.zeros(0)])
    took = np.array([took for _, took in record.escalations])
    batches: dict[int, int] = {}
    for one in ran.gateways:
        for size, count in one.batches.items():
            batches[size] = batches.get(size, 0) + count
    images = sum(size * count for size, count in batches.items())
    count = len(ran.gateways)
    return {
        "gateways": count,
        "calls_per_s": float(calls),
        "busy": float(busy) / (count * costs.threads),
        "front": float(front) / count,
        "batch": images / max(1, sum(batches.values())),
        "batches": {str(size): batches[size] for size in sorted(batches)},
        "wait_p50_ms": _percentile(waits, 50),
        "wait_p99_ms": _percentile(waits, 99),
        "escalation_p50_ms": _percentile(took, 50),
        "escalation_p99_ms": _percentile(took, 99),
        "refused": sum(one.totals.refused for one in ran.gateways),
        "late": sum(one.totals.late for one in ran.gateways),
        "second_calls": ran.second_calls,
        "degraded": dict(record.refusals),
    }


def _percentile(seconds: Floats, share: float) -> float:
    return float(np.percentile(seconds, share)) * 1e3 if len(seconds) else 0.0


def accuracy(ran: Ran, begin: float, end: float) -> list[dict[str, Any]]:
    """A row for each target: what was delivered, and would be at certified thresholds."""
    found = ran.record.between(begin, end)
    rows = []
    for place, target in enumerate(ran.plan.targets):
        n = max(1.0, float(found[ANSWERED, place]))
        rows.append(
            {
                "target": target,
                "n": int(found[ANSWERED, place]),
                "achieved": float(found[RIGHT, place]) / n,
                "certified": float(found[EXPECTED, place]) / n,
                "escalation_rate": float(found[ESCALATED, place]) / n,
                "degraded_rate": float(found[DEGRADED, place]) / n,
            }
        )
    return rows


def thresholds(ran: Ran, begin: float, end: float, within: float) -> list[dict[str, Any]]:
    """A row for each target: how soon after `begin` thresholds and accuracy were where they stay.

    `threshold_s` until the threshold is first `within` of its mean over the last part of the time,
    `accuracy_s` until the answers that follow are right as often as they can be; None: never, or
    nothing was published.
    """
    series = _series(ran)[int(begin) : int(end)]
    settled = series[-max(1, int(_LAST * len(series))) :].mean(axis=0)
    moved = any(begin <= time_s < end for time_s, _ in ran.record.thresholds)
    share = ran.plan.drifted(begin)
    before = accuracy(ran, begin / 2, begin)
    late = accuracy(ran, end - _LAST * (end - begin), end)
    rows = []
    for place, target in enumerate(ran.plan.targets):
        near = np.flatnonzero(moved & (np.abs(series[:, place] - settled[place]) <= within))
        best = max(ran.traffic.expected(one / 100, share)[0] for one in range(102))
        wanted = min(target, best) - TOLERANCE
        rows.append(
            {
                "target": target,
                "certified_threshold": ran.policy.resolve(Accuracy(target)).threshold,
                "settled_threshold": float(settled[place]),
                "threshold_s": int(near[0]) if len(near) else None,
                "accuracy_s": _recovered(ran, int(begin), int(end), place, wanted),
                "best_reachable": best,
                "before": before[place]["achieved"],
                "settled": late[place]["achieved"],
                "fixed": late[place]["certified"],
                "escalation_settled": late[place]["escalation_rate"],
            }
        )
    return rows


def _series(ran: Ran) -> Floats:
    """Thresholds in force by second, float64 [seconds, targets]."""
    seconds = int(ran.plan.seconds)
    first = [ran.policy.resolve(Accuracy(target)).threshold for target in ran.plan.targets]
    out = np.tile(np.array(first), (seconds, 1))
    for time_s, row in ran.record.thresholds:
        out[min(seconds, int(np.ceil(time_s))) :] = row
    return np.asarray(np.minimum(out, 1.0))


def _recovered(ran: Ran, begin: int, end: int, place: int, wanted: float) -> int | None:
    n = ran.record.sums[ANSWERED, begin:end, place].cumsum()
    right = ran.record.sums[RIGHT, begin:end, place].cumsum()
    for second in range(end - begin):
        before = (n[second - 1], right[second - 1]) if second else (0.0, 0.0)
        last = int(np.searchsorted(n, before[0] + _WINDOW))
        if last >= len(n):
            return None
        if (right[last] - before[1]) / (n[last] - before[0]) >= wanted:
            return second
    return None


def conserved(ran: Ran) -> dict[str, Any]:
    """Where the counts of all answers are: each once, or there is a fault."""
    record = ran.record
    answered = float(record.sums[ANSWERED].sum())
    return {
        "requests": ran.requests,
        "answered": answered,
        "counted": record.counted,
        "kept": record.kept,
        "lost": record.dropped,
        "audits": record.audits,
    }


def outage(ran: Ran, without: Ran) -> dict[str, Any]:
    """What it cost that the Redis was out: `ran` against the same fleet `without` that.

    `waiting` are answers that were not counted when it came back, `delivered_s` the time from then
    until no batch waited (None: never). `rows` compare accuracy while it was out.
    """
    assert ran.plan.outage is not None
    begin, end = ran.plan.outage
    record = ran.record
    answered = record.sums[ANSWERED].sum(axis=1).cumsum()
    later = [n for n, waiting in enumerate(record.waiting) if n >= end and waiting == 0]
    rows = []
    for out, there in zip(accuracy(ran, begin, end), accuracy(without, begin, end), strict=True):
        rows.append(
            {
                "target": out["target"],
                "out": out["achieved"],
                "there": there["achieved"],
                "strayed": out["achieved"] - there["achieved"],
            }
        )
    return {
        "minutes": (end - begin) / 60,
        "waiting": float(answered[int(end) - 1]) - record.counted_by[int(end)],
        "batches": record.waiting[int(end)],
        "delivered_s": later[0] - end if later else None,
        "rows": rows,
        **conserved(ran),
    }
