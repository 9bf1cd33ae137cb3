"""What a task's own calibration says of traffic: who answers each image, and what is right.

An image of the traffic is one of the calibration images, each as likely as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.policy import CascadePolicy
from hawkvision.planning.asked import Weighted
from hawkvision.repository import Task

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """One target's traffic over the N calibration images.

    `doubtful` [N]: below the first rung's threshold. `expected` is the cascade's accuracy on them,
    `degraded` what is lost of it, on average, with an answer that escalates and does not come.
    """

    asked: Weighted
    threshold: float
    doubtful: Flags
    expected: float
    degraded: float

    @property
    def share(self) -> float:
        """Of all requests."""
        return self.asked.share


@dataclass(frozen=True)
class Chain:
    """Which rungs see a doubtful image, by image [N], with the first `held` of them at the agent.

    `here` [held - 1, N] are the agent's jobs above the first rung, `up` [N] says whether the image
    goes over the link, `there` [R - 1, N] are the gateway's jobs, by place from 1. All of doubtful
    images and of audited ones, which take the same way; the others see the first rung alone.
    """

    held: int
    here: Flags
    up: Flags
    there: Flags
    image_bytes: npt.NDArray[np.float64]

    @property
    def rungs(self) -> int:
        """Of the whole task."""
        return len(self.there) + 1


def targets_of(
    task: Task, scores: CalibrationScores, mix: Sequence[Weighted], delta: float
) -> list[Target]:
    """Thresholds and accuracies of a mix. Raises TargetUnreachable."""
    policy = CascadePolicy(scores, task.default_accuracy, delta=delta, tiers=task.tiers)
    return [_target(policy, scores, weighted) for weighted in mix]


def _target(policy: CascadePolicy, scores: CalibrationScores, weighted: Weighted) -> Target:
    threshold = policy.resolve(weighted.accuracy).threshold
    doubtful = scores.confidence < threshold
    lost = (scores.edge_loss[0] - scores.dc_loss[0])[doubtful]
    return Target(
        weighted,
        threshold,
        doubtful,
        1 - float(scores.cascade_loss(threshold).mean(dtype=np.float64)),
        float(lost.mean(dtype=np.float64)) if len(lost) else 0.0,
    )


def chain_of(scores: CalibrationScores, thresholds: Sequence[float], held: int) -> Chain:
    """Where doubtful images go. `thresholds` are by place; the last rung answers all it gets.

    An agent leaves out a rung that is never sure (a threshold above 1), a gateway does not.
    """
    confidence = scores.rung_confidence[0]
    rungs, images = confidence.shape
    sure = confidence >= np.array(thresholds)[:, None]
    sure[-1] = True
    here = np.zeros((held - 1, images), bool)
    there = np.zeros((rungs - 1, images), bool)
    left = up = np.ones(images, bool)
    for place in range(1, rungs):
        if place >= held:
            there[place - 1] = left
            left = left & ~sure[place]
            continue
        if thresholds[place] <= 1 or place == rungs - 1:
            here[place - 1] = left
        up = left = left & ~sure[place]
    return Chain(held, here, up, there, scores.image_bytes.astype(np.float64))
