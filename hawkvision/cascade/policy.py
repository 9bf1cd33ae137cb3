"""Which threshold serves an accuracy target, and whether an answer meets it."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from hawkvision.calibration import shown
from hawkvision.calibration.curve import LowerConfidenceCurve
from hawkvision.calibration.relative import RelativeCurve
from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.accuracy import Accuracy
from hawkvision.errors import TargetUnreachable
from hawkvision.tasks import Prediction

_CACHED_TARGETS = 4096
DEFAULTS = tuple(step / 20 for step in range(1, 20))
"""Targets that come into question where a request names none."""

MOST_BY_DEFAULT = 0.6
"""Escalated, of the requests that name no target."""


@dataclass(frozen=True, slots=True)
class AccuracyTarget:
    """A requested accuracy and the threshold that certifies it."""

    accuracy: Accuracy
    threshold: float
    expected_escalation_rate: float

    @property
    def target(self) -> float | str:
        """The accuracy as answers echo it: a share, or the text `relative:0.02`."""
        return self.accuracy.as_json()


class CascadePolicy:
    """Confidence scaling for one task: target → threshold → local or escalate.

    Look-ups are cached per target, so the hot path is one dictionary access. With `tiers`, δ is
    split among them (Bonferroni), all of them hold at once, and a target is served by the lowest
    tier that covers it. `level` is the loss level of the images, and with `intact_resend` what
    escalates reaches the data center whole.
    """

    def __init__(
        self,
        scores: CalibrationScores,
        default_target: float,
        *,
        delta: float = 0.05,
        tiers: tuple[float, ...] = (),
        level: int = 0,
        intact_resend: bool = False,
    ) -> None:
        self.scores = scores
        self.delta = delta / max(1, len(tiers))
        self.tiers = tuple(sorted(tiers))
        self.curve: LowerConfidenceCurve = scores.curve(
            self.delta, level=level, intact_resend=intact_resend
        )
        self._relative = partial(
            scores.relative_curve, delta, level=level, intact_resend=intact_resend
        )
        self._cache: dict[Accuracy, AccuracyTarget] = {}
        self.default_accuracy = min(default_target, shown.floored(self.highest_certifiable))
        self.default = self.resolve(Accuracy(self.default_accuracy))

    @cached_property
    def relative(self) -> RelativeCurve:
        """The curve of relative targets; computing it takes tens of milliseconds, once."""
        return self._relative()

    @property
    def highest_certifiable(self) -> float:
        """The highest absolute target that is served."""
        certified = self.curve.highest_certifiable
        if not self.tiers:
            return certified
        return max((tier for tier in self.tiers if tier <= certified), default=0.0)

    def resolve(self, target: Accuracy) -> AccuracyTarget:
        """The threshold in force for `target`. Raises TargetUnreachable."""
        found = self._cache.get(target)
        if found is None:
            found = self._look_up(target)
            if len(self._cache) >= _CACHED_TARGETS:
                self._cache.clear()
            self._cache[target] = found
        return found

    def _look_up(self, target: Accuracy) -> AccuracyTarget:
        curve: LowerConfidenceCurve | RelativeCurve
        if target.relative:
            curve, index = self.relative, self.relative.index_for(target.value)
        else:
            curve, index = self.curve, self.curve.index_for(self._tier(target.value))
        return AccuracyTarget(
            target, float(curve.thresholds[index]), float(curve.escalation_rate[index])
        )

    def _tier(self, target: float) -> float:
        """The lowest tier that covers `target`, or the target itself where there are no tiers."""
        if not self.tiers:
            return target
        index = bisect.bisect_left(self.tiers, target)
        if index == len(self.tiers):
            highest = shown.floored(self.highest_certifiable)
            raise TargetUnreachable(
                f"accuracy {shown.target(target)} is above the highest tier of this task, "
                f"{shown.target(self.tiers[-1])}",
                highest=highest,
                hint=f"Ask for accuracy={shown.target(highest)} or less.",
            )
        return self.tiers[index]

    @staticmethod
    def answers_locally(prediction: Prediction, target: AccuracyTarget) -> bool:
        """True where the edge's confidence reaches the threshold."""
        return prediction.confidence >= target.threshold


def default_accuracy(curve: LowerConfidenceCurve, tiers: Sequence[float] = ()) -> float:
    """The highest multiple of 0.05 (or tier) certified with at most 60 % escalation.

    Where there is none, the highest target that is certified.
    """
    offered = tiers or DEFAULTS
    fitting = [
        target
        for target in offered
        if target <= curve.highest_certifiable
        and curve.escalation_rate[curve.index_for(target)] <= MOST_BY_DEFAULT
    ]
    return fitting[-1] if fitting else shown.floored(curve.highest_certifiable)
