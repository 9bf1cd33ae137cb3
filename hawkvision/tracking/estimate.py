"""Delivered accuracy with an interval, from three sources that are never mixed.

- `feedback`: true labels from clients, by rung, weighted by how much each rung really answered.
- `audits`: local answers that the data center also saw, weighted by 1/p (Horvitz-Thompson), with
  the data center's calibrated probability of the edge's label in place of a verdict; escalated
  answers by their own calibrated confidence. Right as far as the data center is calibrated.
- `prediction`: calibrated confidence alone; says nothing new under drift.

Intervals of the two rungs' shares are exact (Clopper-Pearson at the effective number of samples)
and are combined by MOVER (Zou and Donner, Statistics in Medicine 27, 2008).

Where one of them has to stand for all, `chosen` takes it by how many samples it rests on, never by
what they say: to take the narrowest of several intervals would prefer lucky ones, and the one
taken would hold the truth less often than it claims. Given the numbers of samples, the choice is
independent of the outcomes, so the interval taken keeps its 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hawkvision.calibration.intervals import clopper_pearson
from hawkvision.tracking.counts import RUNGS, Delivered

USEFUL = 20.0
"""Effective samples from which evidence says more than calibration: an interval of 0.3 at most
where 90 % is right, of 0.5 anywhere."""

ENOUGH = 100.0
"""Effective truths from which they are asked before any number of audits, which believe the data
center: an interval of 0.13 where 90 % is right."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy with its 95 % interval, and how many samples it rests on."""

    source: str
    value: float
    low: float
    high: float
    n: float
    effective: float = 0.0
    """Of how many samples of all answers alike it is worth as much as; never more than `n`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One rung's share of the answers, and the accuracy seen on `n` of them; nothing with n 0."""

    share: float
    value: float
    n: float

    def interval(self) -> tuple[float, float]:
        return clopper_pearson(self.value * self.n, self.n)


def feedback(found: Delivered) -> Estimate | None:
    """From truths; None without any. Of a rung without truths nothing is known: the value leaves
    it out, the interval takes it for anything from never to always right."""
    if not found.feedback:
        return None
    parts = []
    for rung in RUNGS:
        labelled, answers = found.feedback.get(rung), found.answered_by(rung)
        if labelled is not None:
            share = answers or labelled.n
            parts.append(_Part(share, labelled.right / labelled.n, labelled.n))
        elif answers:
            parts.append(_Part(answers, 0.0, 0.0))
    return _combine("feedback", parts, sum(part.n for part in parts))


def audits(found: Delivered) -> Estimate | None:
    """From audited local answers and escalated answers' confidence; None without audits."""
    local, escalated = found.answered_by("edge"), found.answered_by("dc")
    audited = found.audits
    if local > 0 and audited.weight <= 0:
        return None
    parts = []
    if local > 0:
        effective = audited.weight**2 / audited.weight_squared
        parts.append(_Part(local, 1 - audited.error / audited.weight, effective))
    if escalated > 0:
        mean = found.confidence.get("dc", 0.0) / escalated
        parts.append(_Part(escalated, min(mean, 1.0), escalated))
    return _combine("audits", parts, audited.n)


def prediction(found: Delivered) -> Estimate | None:
    """Mean calibrated confidence of what was answered."""
    parts = []
    for rung in RUNGS:
        n = found.answered_by(rung)
        if n > 0:
            parts.append(_Part(n, min(found.confidence.get(rung, 0.0) / n, 1.0), n))
    return _combine("prediction", parts, found.total)


def _combine(source: str, parts: list[_Part], n: float) -> Estimate | None:
    total = sum(part.share for part in parts)
    if total <= 0:
        return None
    seen = [part for part in parts if part.n > 0]
    known = sum(part.share * part.value for part in seen) / sum(part.share for part in seen)
    value = below = above = spread = 0.0
    for part in parts:
        share, centre = part.share / total, part.value if part.n > 0 else known
        low, high = part.interval()
        value += share * centre
        below += (share * (centre - low)) ** 2
        above += (share * (high - centre)) ** 2
        spread += share**2 / part.n if part.n > 0 else math.inf
    low, high = max(0.0, value - below**0.5), min(1.0, value + above**0.5)
    return Estimate(source, value, low, high, n, round(1 / spread, 6))


def from_all_sources(found: Delivered) -> list[Estimate]:
    """The estimates that there is evidence for, at most one of each source."""
    return [one for one in (feedback(found), audits(found), prediction(found)) if one is not None]


def chosen(estimates: Sequence[Estimate]) -> Estimate | None:
    """The one that stands for all, by samples alone; None without any.

    Truths where there are `ENOUGH`, or where they are `USEFUL` and no fewer than audits; else
    audits where they are useful; else what calibration predicts; else what there is most of.
    """
    by = {one.source: one for one in estimates}
    labels, audited = by.get("feedback"), by.get("audits")
    labels_n = 0.0 if labels is None else labels.effective
    audits_n = 0.0 if audited is None else audited.effective
    if labels_n >= ENOUGH or labels_n >= max(USEFUL, audits_n):
        return labels
    if audits_n >= USEFUL:
        return audited
    return by.get("prediction") or max(estimates, key=lambda one: one.effective, default=None)
