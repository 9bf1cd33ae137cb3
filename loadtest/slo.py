"""Service level objectives that decide how a load test ends: `p99<200ms,accuracy@0.90>=0.90`.

| measure | unit | of |
|---|---|---|
| `p50`, `p95`, `p99` … | `ms` (default) or `s` | requests, of one target with `@0.90` |
| `accuracy@TARGET`, `accuracy` | share or `%` | answers at that target, at each target |
| `degraded`, `escalated` | share or `%` | answers, of one target with `@` |
| `failures` | share or `%` | requests |
| `goodput`, `rate` | 1/s | right answers in time, requests |
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from hawkvision.calibration import shown
from hawkvision.errors import InvalidRequest
from loadtest.accuracy import DeliveredAccuracy, TargetCounts

_FORM = re.compile(
    r"(?P<measure>[a-z]+[\d.]*)(@(?P<target>0?\.\d+|1(\.0*)?))?\s*(?P<compare><=|>=|<|>)\s*"
    r"(?P<limit>\d+(\.\d*)?|\.\d+|target)\s*(?P<unit>ms|s|%)?"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHARES = ("accuracy", "degraded", "escalated", "failures")
_TARGETED = ("accuracy", "degraded", "escalated")


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective. `limit` is in ms, a share or per second; None is each target's own value."""

    text: str
    measure: str
    target: float | None
    compare: str
    limit: float | None

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value keeps it."""
        return _COMPARE[self.compare](value, limit)


@dataclass(frozen=True)
class Measured:
    """A run. `percentile` is of ms, for a share and a target or all; None without requests."""

    delivered: DeliveredAccuracy
    requests: int
    failures: int
    seconds: float
    percentile: Callable[[float, float | None], float | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one objective ended, and what was measured, in words."""

    slo: Slo
    holds: bool
    measured: str

    def __str__(self) -> str:
        return f"{'held  ' if self.holds else 'BROKEN'}  {self.slo.text:<28} {self.measured}"


def parse_slos(text: str) -> list[Slo]:
    """Objectives with commas between. Raises InvalidRequest."""
    return [_parse(part.strip()) for part in text.split(",") if part.strip()]


def _parse(text: str) -> Slo:
    found = _FORM.fullmatch(text)
    if found is None:
        raise _refused(text, "it reads MEASURE[@TARGET] <|<=|>|>= LIMIT[ms|s|%]")
    measure, unit = found["measure"], found["unit"]
    target = None if found["target"] is None else float(found["target"])
    is_time = re.fullmatch(r"p\d{1,2}(\.\d+)?", measure) is not None
    if not (is_time or measure in _SHARES or measure in ("goodput", "rate")):
        raise _refused(text, f"{measure!r} is not measured")
    if target is not None and not (is_time or measure in _TARGETED):
        raise _refused(text, f"{measure} is not counted by target")
    if unit is not None and (unit == "%") != (measure in _SHARES):
        raise _refused(text, f"{measure} is not in {unit}")
    if unit is not None and measure in ("goodput", "rate"):
        raise _refused(text, f"{measure} is per second, without a unit")
    if found["limit"] == "target":
        if measure != "accuracy":
            raise _refused(text, "only accuracy can be compared with its target")
        return Slo(text, measure, target, found["compare"], None)
    scale = {"s": 1e3, "%": 0.01}.get(unit or "", 1.0)
    return Slo(text, measure, target, found["compare"], float(found["limit"]) * scale)


def _refused(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{text!r} is no objective: {why}", hint="For example p99<200ms,accuracy@0.90>=0.90."
    )


def judge(slo: Slo, run: Measured) -> Verdict:
    """Whether the run kept it; an accuracy breaks only where its 95 % interval does.

    What was not measured is broken: an objective that nobody asked for would hide a mistake.
    """
    if slo.measure == "accuracy":
        return _judge_accuracy(slo, run.delivered)
    limit = slo.limit or 0.0
    if slo.measure[0] == "p":
        ms = run.percentile(float(slo.measure[1:]) / 100, slo.target)
        if ms is None:
            return Verdict(slo, False, "no requests")
        return Verdict(slo, slo.holds(ms, limit), f"{ms:.0f} ms")
    if slo.measure in ("goodput", "rate"):
        total = run.delivered.total()
        count = total.in_time if slo.measure == "goodput" else run.requests
        value = count / run.seconds if run.seconds else 0.0
        return Verdict(slo, slo.holds(value, limit), f"{value:.1f} per second")
    if slo.measure == "failures":
        count, of = run.failures, run.requests
    else:
        counts = run.delivered.of(slo.target)
        count = counts.degraded if slo.measure == "degraded" else counts.escalated
        of = counts.answers
    if not of:
        return Verdict(slo, False, "no requests")
    return Verdict(slo, slo.holds(count / of, limit), f"{count / of:.2%} of {of}")


def _judge_accuracy(slo: Slo, delivered: DeliveredAccuracy) -> Verdict:
    targets = delivered.targets() if slo.target is None else [slo.target]
    verdicts = [_judge_target(slo, target, delivered.of(target)) for target in targets]
    if not verdicts:
        return Verdict(slo, False, "no answers")
    broken = [said for holds, said in verdicts if not holds]
    return Verdict(slo, not broken, "; ".join(broken or [said for _, said in verdicts]))


def _judge_target(slo: Slo, target: float, counts: TargetCounts) -> tuple[bool, str]:
    name = shown.target(target)
    if not counts.answers:
        return False, f"no answers at {name}"
    row = counts.as_row(target)
    limit = target if slo.limit is None else slo.limit
    edge = row["ci_high"] if slo.compare[0] == ">" else row["ci_low"]
    interval = shown.interval(row["ci_low"], row["ci_high"])
    return slo.holds(edge, limit), f"{row['achieved']:.3f} ({interval}) at {name}"
