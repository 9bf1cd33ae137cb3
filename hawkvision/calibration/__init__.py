"""From held-out answers to thresholds that keep an accuracy target."""

from hawkvision.calibration.curve import (
    ESCALATE_ALL,
    LowerConfidenceCurve,
    default_grid,
    lower_confidence_curve,
)
from hawkvision.calibration.relative import RelativeCurve, relative_curve
from hawkvision.calibration.scores import CalibrationScores, Items

__all__ = [
    "ESCALATE_ALL",
    "CalibrationScores",
    "Items",
    "LowerConfidenceCurve",
    "RelativeCurve",
    "default_grid",
    "lower_confidence_curve",
    "relative_curve",
]
