"""One answered image: what goes from the classifier to counting, audits, receipts and the reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.cascade import AccuracyTarget, Prediction

Rung = Literal["edge", "dc"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which rung answered what, and what kept the answer from its promise.

    `dc` is the data center's prediction, None where it was not asked or gave none; `degraded` says
    why an answer is not what was promised. `image` holds the encoded bytes, None where the answer
    cannot be audited; `loss_level` is the calibrated share of the image that a lossy link took.
    Times in milliseconds, `total_s` in seconds from the request's arrival.
    """

    local: LocalTask
    target: AccuracyTarget
    app: str
    edge: LocalAnswer
    dc: Prediction | None
    degraded: str | None
    image: bytes | None
    loss_level: float
    top_k: int
    escalate_ms: float
    total_s: float

    @property
    def prediction(self) -> Prediction:
        """What is answered."""
        return self.edge.prediction if self.dc is None else self.dc

    @property
    def served_by(self) -> Rung:
        """The rung whose prediction is answered."""
        return "edge" if self.dc is None else "dc"

    @property
    def certified(self) -> bool:
        """Whether the answer keeps the target that was asked for."""
        return self.degraded is None
