"""One answered image: what goes from the classifier to counting, audits, receipts and the reply."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.cascade import AccuracyTarget

Rung = Literal["edge", "dc"]
Reason = Literal["numerics"]


class Outcome(NamedTuple):
    """Which rung answered what, and what kept the answer from its promise.

    `app` is the app as it is counted (see `hawkvision.tracking.trust`).
    `dc` is the data center's prediction, None where it was not asked or gave none; `degraded` says
    why an answer is not what was promised; `dc_agrees` is false where the data center said that its
    engine is not the certified one. `image` holds the encoded bytes, None where the answer
    cannot be audited; `loss_level` is the calibrated share of the image that a lossy link took.
    Times in milliseconds, `total_s` in seconds from the request's arrival.
    """

    local: LocalTask
    target: AccuracyTarget
    app: str
    edge: LocalAnswer
    dc: Any | None
    degraded: str | None
    image: bytes | None
    loss_level: float
    top_k: int
    escalate_ms: float
    total_s: float
    dc_agrees: bool = True

    @property
    def prediction(self) -> Any:
        """What is answered, a prediction of the task's kind."""
        return self.edge.prediction if self.dc is None else self.dc

    @property
    def served_by(self) -> Rung:
        """The rung whose prediction is answered."""
        return "edge" if self.dc is None else "dc"

    @property
    def reason(self) -> Reason | None:
        """Why the answer is not certified although nothing degraded it; None where it is."""
        if not self.local.agrees or (self.dc is not None and not self.dc_agrees):
            return "numerics"
        return None
