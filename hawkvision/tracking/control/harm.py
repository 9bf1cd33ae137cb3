"""Does escalating hurt? Paired verdicts of both rungs on labelled images decide.

Under some drifts the large rung is worse than the edge, and no label-free signal shows it. Only
discordant pairs carry information: under "the data center is no worse" at most half of them favour
the edge, an exact binomial test (McNemar). Old evidence fades, so the breaker closes again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hawkvision.calibration.beta import incomplete_beta

Mode = Literal["trip", "strict"]


def p_edge_better(edge: float, dc: float) -> float:
    """P-value of "the data center is no worse" for (fractional) discordant counts."""
    return incomplete_beta(edge, dc + 1, 0.5) if edge > 0 else 1.0


@dataclass(frozen=True, slots=True)
class EscalationBreaker:
    """Immutable; `see` gives the next state.

    `trip` (the default) lets thresholds rise until harm is shown (p < 0.005): calibration has
    shown the data center to be better on such traffic, and most drifts keep that. `strict` holds
    the certified floor until the data center is shown to be better (p < 0.05); use it where
    labels or golden probes come steadily.
    """

    mode: Mode = "trip"
    memory: float = 150.0
    edge: float = 0.0
    dc: float = 0.0
    tripped: bool = False

    def see(self, edge: float, dc: float, labels: float) -> EscalationBreaker:
        """New discordant pairs among `labels` new paired verdicts."""
        if labels <= 0:
            return self
        fade = max(0.0, 1 - labels / self.memory)
        now = replace(self, edge=self.edge * fade + edge, dc=self.dc * fade + dc)
        harm = p_edge_better(now.edge, now.dc)
        return replace(now, tripped=harm < (0.2 if self.tripped else 0.005))

    @property
    def open(self) -> bool:
        """Whether thresholds must stay at the floor."""
        if self.mode == "strict":
            return not p_edge_better(self.dc, self.edge) < 0.05
        return self.tripped
