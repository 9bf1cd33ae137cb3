"""Confidence scaling: answer locally, or escalate, by one threshold per accuracy target."""

from hawkvision.cascade.confidence import Prediction, predict, softmax
from hawkvision.cascade.policy import (
    Accuracy,
    AccuracyTarget,
    CascadePolicy,
    RelativeAccuracy,
    parse_accuracy,
)

__all__ = [
    "Accuracy",
    "AccuracyTarget",
    "CascadePolicy",
    "Prediction",
    "RelativeAccuracy",
    "parse_accuracy",
    "predict",
    "softmax",
]
