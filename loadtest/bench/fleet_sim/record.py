"""What a simulated fleet did, second by second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtest.bench.fleet_sim.ledger import Ledger

Floats = npt.NDArray[np.float64]
ANSWERED, RIGHT, ESCALATED, DEGRADED, EXPECTED = range(5)


@dataclass
class Record:
    """`sums` float64 [5, seconds, targets]: answers by when they came, those that were right,
    escalated or degraded, and how many would be right at the certified thresholds.

    Of each second `waiting` are batches that wait in agents, `counted_by` answers that the store
    has, `ledgers` what the Redis had done until then, `busy_s` the time that it took, `work` the
    gateways' calls, seconds of threads and of loops. `thresholds` are (time,
    [targets]) as published.
    """

    sums: Floats
    escalations: list[tuple[float, float]] = field(default_factory=list)
    """When an escalated request came, and how long its answer took, seconds."""

    audits: int = 0
    not_audited: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    thresholds: list[tuple[float, Floats]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    ledgers: list[Ledger] = field(default_factory=list)
    counted_by: list[float] = field(default_factory=list)
    work: list[tuple[int, float, float]] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    publications: list[int] = field(default_factory=list)
    refreshes: int = 0
    counted: float = 0.0
    kept: float = 0.0
    dropped: float = 0.0

    @classmethod
    def of(cls, seconds: float, targets: int) -> Record:
        """Empty, for so long and some seconds until the last answer."""
        return cls(np.zeros((5, int(seconds) + 8, targets)))

    def add(self, what: int, time_s: float, target: int, amount: float = 1.0) -> None:
        """One answer's part."""
        self.sums[what, min(int(time_s), self.sums.shape[1] - 1), target] += amount

    def between(self, begin: float, end: float) -> Floats:
        """[5, targets] over whole seconds."""
        return np.asarray(self.sums[:, int(begin) : int(end)].sum(axis=1))

    def rates(self, begin: float, end: float) -> dict[str, Any]:
        """What the Redis did each second, from one whole second to another."""
        first, last = int(begin), min(int(end), len(self.ledgers) - 1)
        seconds = max(1, last - first)
        used = self.ledgers[last].since(self.ledgers[first])
        return {
            "sent_per_s": used.sent / seconds,
            "commands_per_s": {n: c / seconds for n, c in sorted(used.commands.items())},
            "bytes_in_per_s": used.bytes_in / seconds,
            "bytes_out_per_s": used.bytes_out / seconds,
            "busy": (self.busy_s[last] - self.busy_s[first]) / seconds,
            "published_per_s": (self.publications[last] - self.publications[first]) / seconds,
        }
