"""Which threshold serves an accuracy target, and whether an answer meets it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hawkvision.calibration.curve import LowerConfidenceCurve
from hawkvision.cascade.confidence import Prediction
from hawkvision.errors import InvalidRequest

_CACHED_TARGETS = 4096


@dataclass(frozen=True, slots=True)
class AccuracyTarget:
    """A requested share of right answers and the threshold that certifies it."""

    target: float
    threshold: float
    expected_escalation_rate: float


def parse_accuracy(text: str) -> float:
    """Parse `accuracy=…`: a number strictly between 0 and 1. Raises InvalidRequest."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise InvalidRequest(
            f"accuracy must be a number between 0 and 1 (exclusive), not {text[:40]!r}",
            hint="For example accuracy=0.95.",
        )
    return value


class CascadePolicy:
    """Confidence scaling for one task: target → threshold → local or escalate.

    Look-ups are cached per target, so the hot path is one dictionary access.
    """

    def __init__(self, curve: LowerConfidenceCurve, default_target: float) -> None:
        self.curve = curve
        self._cache: dict[float, AccuracyTarget] = {}
        self.default = self.resolve(default_target)

    def resolve(self, target: float) -> AccuracyTarget:
        """The threshold in force for `target`. Raises TargetUnreachable."""
        found = self._cache.get(target)
        if found is None:
            index = self.curve.index_for(target)
            found = AccuracyTarget(
                target,
                float(self.curve.thresholds[index]),
                float(self.curve.escalation_rate[index]),
            )
            if len(self._cache) >= _CACHED_TARGETS:
                self._cache.clear()
            self._cache[target] = found
        return found

    @staticmethod
    def answers_locally(prediction: Prediction, target: AccuracyTarget) -> bool:
        """True where the edge's confidence reaches the threshold."""
        return prediction.confidence >= target.threshold
