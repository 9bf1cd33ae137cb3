"""From held-out answers to thresholds that keep an accuracy target."""

from hawkvision.calibration.curve import (
    ESCALATE_ALL,
    LowerConfidenceCurve,
    default_grid,
    lower_confidence_curve,
)
from hawkvision.calibration.relative import RelativeCurve, relative_curve
from hawkvision.calibration.scores import CalibrationScores
from hawkvision.calibration.temperature import expected_calibration_error, fit_temperature

__all__ = [
    "ESCALATE_ALL",
    "CalibrationScores",
    "LowerConfidenceCurve",
    "RelativeCurve",
    "default_grid",
    "expected_calibration_error",
    "fit_temperature",
    "lower_confidence_curve",
    "relative_curve",
]
