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

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import betaincinv

Sums = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy with its 95 % interval, and how many samples it rests on."""

    source: str
    value: float
    low: float
    high: float
    n: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Part:
    """One rung's share of the answers, and the accuracy seen on `n` of them."""

    share: float
    value: float
    n: float

    def interval(self) -> tuple[float, float]:
        right, wrong = self.value * self.n, (1 - self.value) * self.n
        low = float(betaincinv(right, wrong + 1, 0.025)) if right > 1e-9 else 0.0
        high = float(betaincinv(right + 1, wrong, 0.975)) if wrong > 1e-9 else 1.0
        return low, high


def answers(sums: Sums, served_by: str | None = None) -> float:
    """Answers counted, of one rung or of all."""
    start = "answers/" if served_by is None else f"answers/{served_by}/"
    return sum(amount for name, amount in sums.items() if name.startswith(start))


def add_up(parts: Iterable[Sums]) -> dict[str, float]:
    """Sums of sums."""
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total


def feedback(sums: Sums) -> Estimate | None:
    """From true labels; None without any. A rung without labels is left out of the weights."""
    parts = []
    for rung in ("edge", "dc"):
        n = sums.get(f"feedback/{rung}/n", 0.0)
        if n > 0:
            share = answers(sums, rung) or n
            parts.append(_Part(share, sums.get(f"feedback/{rung}/right", 0.0) / n, n))
    return _combine("feedback", parts, sum(part.n for part in parts))


def audits(sums: Sums) -> Estimate | None:
    """From audited local answers and escalated answers' confidence; None without audits."""
    local, escalated = answers(sums, "edge"), answers(sums, "dc")
    weight = sums.get("audit/w", 0.0)
    if local > 0 and weight <= 0:
        return None
    parts = []
    if local > 0:
        effective = weight**2 / sums["audit/w2"]
        parts.append(_Part(local, 1 - sums.get("audit/loss", 0.0) / weight, effective))
    if escalated > 0:
        mean = sums.get("confidence/dc", 0.0) / escalated
        parts.append(_Part(escalated, min(mean, 1.0), escalated))
    return _combine("audits", parts, sums.get("audit/n", 0.0))


def prediction(sums: Sums) -> Estimate | None:
    """Mean calibrated confidence of what was answered."""
    parts = []
    for rung in ("edge", "dc"):
        n = answers(sums, rung)
        if n > 0:
            parts.append(_Part(n, min(sums.get(f"confidence/{rung}", 0.0) / n, 1.0), n))
    return _combine("prediction", parts, answers(sums))


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


def describe(sums: Sums) -> dict[str, Any]:
    """Counts and all estimates of one window, for JSON."""
    total = answers(sums)
    found = {
        one.source: one.as_dict()
        for one in (feedback(sums), audits(sums), prediction(sums))
        if one is not None
    }
    degraded = {
        name.removeprefix("degraded/"): amount
        for name, amount in sums.items()
        if name.startswith("degraded/")
    }
    levels: dict[str, float] = {}
    for name, amount in sums.items():
        if name.startswith("answers/"):
            level = name.rpartition("/")[2]
            levels[level] = levels.get(level, 0.0) + amount
    return {
        "requests": total,
        "escalation_rate": answers(sums, "dc") / total if total else None,
        "audits": sums.get("audit/n", 0.0),
        "degraded": degraded,
        "loss_levels": levels,
        "estimates": found,
    }
