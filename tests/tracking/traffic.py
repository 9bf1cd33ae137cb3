"""Made-up traffic with known rungs: what the edge's confidence means, clean and under drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import CalibrationScores
from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.tracking.control.audit import AuditPolicy, AuditSettings
from hawkvision.tracking.control.harm import EscalationBreaker
from hawkvision.tracking.control.traffic_model import Settings, TrafficModel, steer
from hawkvision.tracking.counts import Bins, bin_of, compared
from hawkvision.tracking.records import CountKey

UPDATE = 50


@dataclass(frozen=True)
class Condition:
    """Confidence is Beta(a, 1.2); the edge is right as often as it says (times 0.97) less `over`.

    The data center is right at `dc` and says `dc_says`. What it knows includes all that the edge
    knows, so that its probability of the edge's label is what it should be where it is honest;
    where it is `fooled` it knows less than the edge, and does not know that.
    """

    a: float = 5.0
    over: float = 0.0
    dc: float = 0.97
    dc_says: float = 0.97
    fooled: bool = False


CLEAN = Condition()


def draw(condition: Condition, rng: np.random.Generator) -> tuple[float, bool, bool, float, float]:
    """(edge confidence, edge right, dc right, p_dc of the edge's label, p_dc of its own)."""
    confidence = float(rng.beta(condition.a, 1.2))
    other = (1 - condition.dc) / 2
    wanted = min(max(0.97 * confidence - condition.over, other), condition.dc)
    agree = bool(rng.random() < (wanted - other) / (condition.dc - other))
    luck = rng.random()
    if condition.fooled:
        edge, dc = bool(rng.random() < 0.97 * confidence), bool(luck < condition.dc)
        agree = edge and dc
        says = condition.dc_says
        return confidence, edge, dc, says if agree else (1 - says) / 2, says
    dc = bool(luck < condition.dc)
    edge = dc if agree else bool(condition.dc <= luck < condition.dc + other)
    says = condition.dc_says
    return confidence, edge, dc, says if agree else (1 - says) / 2, says


def calibration(n: int = 3000, seed: int = 0) -> CalibrationScores:
    """Scores of clean traffic."""
    rng = np.random.default_rng(seed)
    rows = [draw(CLEAN, rng) for _ in range(n)]
    confidence = np.array([row[0] for row in rows], np.float32)
    wrong = np.array([[not row[1] for row in rows], [not row[2] for row in rows]], np.float32)
    both = np.stack([confidence, np.full(n, 0.97, np.float32)])
    return CalibrationScores(
        rung_loss=wrong[None],
        dc_loss=wrong[1:],
        rung_confidence=both[None],
        rung_raw_confidence=both,
        loss_levels=np.zeros(1),
        image_bytes=np.ones(n, np.int32),
        binary=True,
    )


@dataclass
class Outcome:
    """Float arrays over requests."""

    right: npt.NDArray[np.float64]
    escalated: npt.NDArray[np.float64]
    audited: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]


def replay(
    phases: list[tuple[Condition, int]],
    target: float,
    *,
    seed: int,
    steered: bool = True,
    labels: float = 0.0,
    scores: CalibrationScores | None = None,
) -> Outcome:
    """Run traffic through the audit policy, the controller and the breaker, as an agent would."""
    rng = np.random.default_rng(seed)
    found = scores or calibration()
    floor = CascadePolicy(found, target).resolve(Accuracy(target)).threshold
    model, breaker, settings = TrafficModel.from_calibration(found), EscalationBreaker(), Settings()
    audits = AuditPolicy(
        float(found.confidence.mean()), float(found.confidence.std()), AuditSettings()
    )
    threshold, rows = floor, []
    sums: dict[str, float] = {}
    total = edge_only = dc_only = seen_labels = 0.0

    def add(_key: CountKey, name: str, amount: float) -> None:
        sums[name] = sums.get(name, 0.0) + amount

    for condition, count in phases:
        for _ in range(count):
            confidence, edge, dc, chance_edge, chance_dc = draw(condition, rng)
            local, audited = confidence >= threshold, False
            name = f"bin/{bin_of(confidence)}/n"
            sums[name] = sums.get(name, 0.0) + 1
            total += confidence
            if not local or rng.random() < audits.share:
                audited = local
                compared(
                    add,
                    "t",
                    edge_confidence=confidence,
                    edge_error=1 - chance_edge,
                    dc_error=1 - chance_dc,
                    weight=1 / audits.share if local else 1.0,
                )
            if not local and rng.random() < labels:
                seen_labels += 1
                edge_only += edge and not dc
                dc_only += dc and not edge
            rows.append((edge if local else dc, not local, audited, threshold))
            if len(rows) % UPDATE == 0:
                requests = model.see(Bins.read(sums), settings.memory)
                audits.see(requests, total)
                breaker = breaker.see(edge_only, dc_only, seen_labels)
                if steered:
                    moved = steer(
                        model,
                        Accuracy(target),
                        floor=floor,
                        current=threshold,
                        requests=requests,
                        settings=settings,
                    )
                    threshold = floor if breaker.open else moved.threshold
                sums.clear()
                total = edge_only = dc_only = seen_labels = 0.0
    columns = np.array(rows, float).T
    return Outcome(*columns)
