"""Thresholds for images of which a part was lost: certified at every loss level on its own."""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.calibration.curve import ESCALATE_ALL
from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.accuracy import Accuracy
from hawkvision.cascade.policy import AccuracyTarget, CascadePolicy
from hawkvision.errors import TargetUnreachable


@dataclass(frozen=True, slots=True)
class LossDecision:
    """What to do with a damaged image.

    `level` is the calibrated share lost that covers it, None beyond the last one. Below the
    threshold the image escalates as it was reconstructed or, with `resend`, is asked for again.
    """

    target: AccuracyTarget
    level: float | None
    certified: bool
    resend: bool


class LossPolicy:
    """The cascade's thresholds by loss level, computed when first needed, or by `prepare`."""

    def __init__(
        self, scores: CalibrationScores, *, delta: float = 0.05, tiers: tuple[float, ...] = ()
    ) -> None:
        self._scores = scores
        self._delta = delta
        self._tiers = tiers
        self._policies: dict[tuple[int, bool], CascadePolicy] = {}
        self._decisions: dict[tuple[Accuracy, int | None, bool], LossDecision] = {}

    def prepare(self, accuracy: Accuracy, *, may_resend: bool) -> None:
        """Compute the decisions for every level; up to a second for a relative target."""
        for lost in self._scores.loss_levels:
            self.decide(accuracy, float(lost), may_resend=may_resend)

    def decide(self, accuracy: Accuracy, lost_fraction: float, *, may_resend: bool) -> LossDecision:
        """The threshold for a target and a share lost (0 to 1).

        Where escalating the reconstruction certifies the target, that is done; else the intact
        image is asked for, where the sender may send it again; else everything escalates and the
        answer is not certified.
        """
        level = self._scores.level_for(lost_fraction)
        key = (accuracy, level, may_resend)
        found = self._decisions.get(key)
        if found is None:
            found = self._decide(accuracy, level, may_resend)
            if len(self._decisions) > 4096:
                self._decisions.clear()
            self._decisions[key] = found
        return found

    def _decide(self, accuracy: Accuracy, level: int | None, may_resend: bool) -> LossDecision:
        everything = AccuracyTarget(accuracy, ESCALATE_ALL, 1.0)
        if level is None:
            return LossDecision(everything, None, False, may_resend)
        share = float(self._scores.loss_levels[level])
        for resend in (False, True) if may_resend and level else (False,):
            try:
                target = self._policy(level, resend).resolve(accuracy)
            except TargetUnreachable:
                continue
            return LossDecision(target, share, True, resend)
        return LossDecision(everything, share, False, may_resend)

    def _policy(self, level: int, resend: bool) -> CascadePolicy:
        found = self._policies.get((level, resend))
        if found is None:
            found = CascadePolicy(
                self._scores,
                0.5,
                delta=self._delta,
                tiers=self._tiers,
                level=level,
                intact_resend=resend,
            )
            self._policies[level, resend] = found
        return found
