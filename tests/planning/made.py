"""Small traffic and costs to plan with."""

from __future__ import annotations

import numpy as np

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade import Accuracy
from hawkvision.planning.asked import Asked, Link, Weighted
from hawkvision.planning.costs import EdgeCosts, GatewayCosts, steady
from hawkvision.planning.simulate import Model
from hawkvision.planning.traffic import Target, chain_of

IMAGES = 200


def scores(rungs: int = 2, images: int = IMAGES, seed: int = 1) -> CalibrationScores:
    """Confidences and losses by chance; larger rungs err less."""
    rng = np.random.default_rng(seed)
    confidence = rng.random((1, rungs, images)).astype(np.float32)
    rates = np.linspace(0.3, 0.05, rungs)[None, :, None]
    loss = (rng.random((1, rungs, images)) < rates).astype(np.float32)
    return CalibrationScores(
        rung_loss=loss,
        dc_loss=loss[:, -1],
        rung_confidence=confidence,
        rung_raw_confidence=confidence[0],
        loss_levels=np.zeros(1),
        image_bytes=rng.integers(5_000, 15_000, images).astype(np.int32),
        binary=True,
    )


def target(found: CalibrationScores, threshold: float, share: float = 1.0) -> Target:
    """At a threshold that no certificate says."""
    doubtful = found.confidence < threshold
    lost = (found.edge_loss[0] - found.dc_loss[0])[doubtful]
    return Target(
        Weighted(Accuracy(0.9), share),
        threshold,
        doubtful,
        1 - float(found.cascade_loss(threshold).mean()),
        float(lost.mean()) if len(lost) else 0.0,
    )


def model(
    *,
    rate: float = 100.0,
    threshold: float = 0.2,
    rungs: int = 2,
    held: int = 1,
    edge_ms: float = 2.0,
    escalate_ms: float = 0.0,
    gateway_ms: float = 4.0,
    link: Link | None = None,
    audit_share: float = 0.0,
    **asked: int,
) -> Model:
    """Steps that always take as long, with nothing saved by following another one."""
    found = scores(rungs)
    here = Link(20.0, 20.0, 20.0) if link is None else link
    jobs = tuple(steady(gateway_ms) for _ in range(rungs - 1))
    return Model(
        Asked(rate, (), here, audit_share=audit_share, **asked),
        [target(found, threshold)],
        chain_of(found, [0.0, *[0.5] * (rungs - 2), 0.0], held),
        EdgeCosts(steady(edge_ms), steady(escalate_ms), jobs),
        GatewayCosts(steady(0.0), jobs, 0.0),
    )
