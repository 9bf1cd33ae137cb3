"""Which traffic is planned and then sent, and the two compared. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawkvision.calibration.intervals import clopper_pearson

_Z = 1.96


@dataclass(frozen=True, slots=True)
class Setting:
    """Poisson traffic of `rate` images/s that asks for `targets`, over an emulated link."""

    name: str
    rate: float
    rtt_ms: float
    mbit: float
    targets: str


SETTINGS = (
    Setting("low rate", 40.0, 20.0, 20.0, "0.85:1,0.90:1,0.91:1"),
    Setting("high rate", 400.0, 20.0, 20.0, "0.85:1,0.90:1,0.91:1"),
    Setting("long link, skewed", 80.0, 100.0, 20.0, "0.85:1,0.90:2,0.91:4"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A run: its columns (see `loadtest.bench.plan.client`), and what was used meanwhile.

    `relay_late_ms` is how much later than due the link carried a piece, on average.
    """

    columns: Mapping[str, Sequence[Any]]
    edge_cpu_s: float
    gateway_cpu_s: float
    up_bytes: float
    seconds: float
    relay_late_ms: float = 0.0

    def besides(self) -> dict[str, float]:
        """What is in no plan, ms: how late the client sent and read, and the link carried."""
        sent = np.array(self.columns["late_ms"], np.float64)
        read = np.array(self.columns["read_ms"], np.float64)[np.array(self.columns["status"]) > 0]
        return {
            "sent_late_p50_ms": float(np.percentile(sent, 50)),
            "sent_late_p99_ms": float(np.percentile(sent, 99)),
            "read_late_p50_ms": float(np.percentile(read, 50)) if len(read) else 0.0,
            "relay_late_ms": self.relay_late_ms,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity: `low` to `high` is where the measured one lies at 95 %, as far as is known."""

    name: str
    unit: str
    predicted: float
    measured: float
    low: float | None = None
    high: float | None = None

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted / self.measured - 1 if self.measured else math.inf

    @property
    def within(self) -> bool | None:
        """Whether the prediction lies within the interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.predicted <= self.high


def compare(plan: Mapping[str, Any], run: Measured) -> list[Line]:
    """`plan` is what `hawkvision plan --json` writes."""
    overall = plan["overall"]
    answered = np.array(run.columns["status"]) == 200
    if not answered.any():
        raise ValueError("no answers to compare with")
    ms = np.sort(np.where(answered, np.array(run.columns["ms"], np.float64), np.inf))
    due = len(ms)
    up = np.array([by == "dc" for by in run.columns["by"]], bool)[answered]
    low, high = clopper_pearson(int(up.sum()), len(up))
    right = np.array(run.columns["right"], bool)[answered]
    accurate = clopper_pearson(int(right.sum()), len(right))
    thousand = due / 1e3
    return [
        Line(
            "escalated",
            "%",
            100 * overall["escalated"],
            100 * float(up.mean()),
            100 * low,
            100 * high,
        ),
        Line(
            "accuracy",
            "%",
            100 * overall["expected"],
            100 * float(right.mean()),
            *(100 * one for one in accurate),
        ),
        Line(
            "edge CPU, 1,000",
            "s",
            plan["edge"]["cpu_s_per_thousand"],
            run.edge_cpu_s / thousand,
        ),
        Line(
            "gateway CPU, 1,000",
            "s",
            plan["gateway"]["cpu_s_per_thousand"],
            run.gateway_cpu_s / thousand,
        ),
        Line(
            "up",
            "Mbit/s",
            plan["demand"]["up_bytes"] * plan["asked"]["rate"] * 8 / 1e6,
            run.up_bytes * 8 / run.seconds / 1e6,
        ),
        _percentile("P50", 0.50, overall["p50_ms"], ms),
        _percentile("P99", 0.99, overall["p99_ms"], ms),
    ]


def _percentile(name: str, share: float, predicted: float, ms: Any) -> Line:
    """The measured one with the order statistics that enclose it at 95 % (binomial, normal)."""
    count = len(ms)
    spread = _Z * math.sqrt(count * share * (1 - share))
    places = np.clip(
        [count * share, count * share - spread, count * share + spread], 0, count - 1
    ).astype(int)
    found, low, high = (float(one) for one in ms[places])
    return Line(name, "ms", predicted, found, low, high)
