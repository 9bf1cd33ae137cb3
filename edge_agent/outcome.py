"""One answered image: what goes from the classifier to counting, audits, receipts and the reply."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.cascade import AccuracyTarget

Side = Literal["edge", "dc"]
Reason = Literal["numerics", "chain"]


class Outcome(NamedTuple):
    """Which rung answered what, and what kept the answer from its promise.

    `app` is the app as it is counted (see `hawkvision.tracking.trust`).
    `edge` is what the first rung says. `dc` is what the chain above it answers, wherever its rungs
    run; None where it was not asked or did not come to its end. Then `best` is the prediction of
    the last rung here that was asked, None without. `place` is that of the rung whose prediction is
    answered, `over_link` whether it ran in the data center. `degraded` says
    why an answer is not what was promised; `dc_agrees` is false where a rung above the first is not
    the certified one; `chain_certified` where rungs were missing and the threshold in force does
    not certify the target without them. `image` holds the encoded bytes, None where the answer
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
    best: Any | None = None
    place: int = 0
    over_link: bool = False
    chain_certified: bool = True

    @property
    def prediction(self) -> Any:
        """What is answered, a prediction of the task's kind."""
        found = self.best if self.dc is None else self.dc
        return self.edge.prediction if found is None else found

    @property
    def served_by(self) -> Side:
        """Where the answer was computed."""
        return "dc" if self.over_link else "edge"

    @property
    def counted_as(self) -> Side:
        """Whose answer it is for accounts: the first rung's, or that of the chain above it.

        What the chain did not end counts with the first rung's answers, as degraded.
        """
        return "edge" if self.dc is None else "dc"

    @property
    def rung(self) -> str:
        """The name of the rung whose prediction is answered."""
        return self.local.task.rungs[self.place].name

    @property
    def reason(self) -> Reason | None:
        """Why the answer is not certified although nothing degraded it; None where it is."""
        if not self.local.agrees or not self.dc_agrees:
            return "numerics"
        return None if self.chain_certified else "chain"
