"""Delivered accuracy with an interval, from three sources that are never mixed.

- `feedback`: true labels from clients, by rung, weighted by how much each rung really answered.
- `audits`: local answers that the data center also saw, weighted by 1/p (Horvitz-Thompson), with
  the data center's calibrated probability of the edge's label in place of a verdict; escalated
  answers by their own calibrated confidence. Right as far as the data center is calibrated.
- `prediction`: calibrated confidence alone; says nothing new under drift.

Intervals of the two rungs' shares are exact (Clopper-Pearson at the effective number of samples)
and are combined by MOVER (Zou and Donner, Statistics in Medicine 27, 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.calibration.intervals import clopper_pearson
from hawkvision.tracking.counts import RUNGS, Delivered


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy with its 95 % interval, and how many samples it rests on."""

    source: str
    value: float
    low: float
    high: float
    n: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One rung's share of the answers, and the accuracy seen on `n` of them."""

    share: float
    value: float
    n: float

    def interval(self) -> tuple[float, float]:
        return clopper_pearson(self.value * self.n, self.n)


def feedback(found: Delivered) -> Estimate | None:
    """From truths; None without any. A rung without truths is left out of the weights."""
    parts = []
    for rung, labelled in found.feedback.items():
        share = found.answered_by(rung) or labelled.n
        parts.append(_Part(share, labelled.right / labelled.n, labelled.n))
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
    value = below = above = 0.0
    for part in parts:
        share = part.share / total
        low, high = part.interval()
        value += share * part.value
        below += (share * (part.value - low)) ** 2
        above += (share * (high - part.value)) ** 2
    return Estimate(source, value, max(0.0, value - below**0.5), min(1.0, value + above**0.5), n)


def from_all_sources(found: Delivered) -> list[Estimate]:
    """The estimates that there is evidence for, at most one of each source."""
    return [one for one in (feedback(found), audits(found), prediction(found)) if one is not None]
