"""Confidence scaling: answer locally, or escalate, by one threshold per accuracy target."""

from hawkvision.cascade.policy import (
    Accuracy,
    AccuracyTarget,
    CascadePolicy,
    RelativeAccuracy,
    parse_accuracy,
)
from hawkvision.tasks.classification import Prediction, predict, softmax

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
