"""Certificates of the chains that answer where a gateway lacks rungs of the task's own chain."""

from __future__ import annotations

from collections.abc import Sequence

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.chain import with_chain
from hawkvision.cascade.policy import AccuracyTarget, CascadePolicy
from hawkvision.errors import TargetUnreachable


class OtherChains:
    """All chains in which the rungs from one place up to another are missing.

    Each has a certificate of its own, from the same held-out answers. `thresholds` are by place.
    Computed here and now: some tens of milliseconds for each; a task of three rungs has one, of two
    rungs none.
    """

    def __init__(
        self,
        scores: CalibrationScores,
        thresholds: Sequence[float],
        *,
        delta: float = 0.05,
        tiers: tuple[float, ...] = (),
    ) -> None:
        rungs = scores.rung_loss.shape[1]
        self._policies: dict[tuple[int, int], CascadePolicy] = {}
        for missing in range(1, rungs - 1):
            for first in range(missing + 1, rungs):
                places = [*range(1, missing), *range(first, rungs)]
                other = with_chain(scores, places, thresholds)
                try:
                    policy = CascadePolicy(other, 0.5, delta=delta, tiers=tiers)
                except TargetUnreachable:
                    continue  # it certifies nothing
                _ = policy.relative  # now, not while a request waits
                self._policies[missing, first] = policy

    def certifies(self, missing: int, first: int, target: AccuracyTarget) -> bool:
        """Whether the threshold in force certifies the target without `missing` … `first` - 1."""
        policy = self._policies.get((missing, first))
        if policy is None:
            return False
        try:
            return policy.resolve(target.accuracy).threshold <= target.threshold
        except TargetUnreachable:
            return False
