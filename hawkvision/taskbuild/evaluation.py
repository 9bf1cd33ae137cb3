"""From single answers to delivered accuracy per target. Pure: records in, rows out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hawkvision.calibration.intervals import accuracy_interval


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled request: how wrong the answer is, in [0, 1], and how long the client waited."""

    loss: float
    escalated: bool
    degraded: bool
    certified: bool
    latency_ms: float
    image_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One accuracy target's results; rates are shares, times in ms, bytes a total.

    `target` is a share, or the text `relative:0.02`.
    """

    target: float | str
    certified: bool
    n: int
    achieved: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    escalation_rate: float | None = None
    degraded_rate: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    edge_bytes_up: int = 0
    failed: int = 0
    highest_certifiable: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise(
    target: float | str, records: Sequence[Record], failed: int = 0, *, binary: bool = True
) -> Row:
    """The row of one target; `failed` requests got no answer and count in no share.

    With `binary`, losses are 0 or 1 by nature, and the interval is the exact one of a share.
    """
    n = len(records)
    if n == 0:
        return Row(target, certified=False, n=0, failed=failed)
    losses = np.array([record.loss for record in records])
    low, high = accuracy_interval(losses, binary=binary)
    latency = np.array([record.latency_ms for record in records])
    return Row(
        target=target,
        certified=all(record.certified for record in records),
        n=n,
        achieved=1 - float(losses.mean()),
        ci_low=low,
        ci_high=high,
        escalation_rate=sum(record.escalated for record in records) / n,
        degraded_rate=sum(record.degraded for record in records) / n,
        p50_ms=float(np.percentile(latency, 50)),
        p99_ms=float(np.percentile(latency, 99)),
        edge_bytes_up=sum(record.image_bytes for record in records if record.escalated),
        failed=failed,
    )
