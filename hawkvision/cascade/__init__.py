"""Confidence scaling: answer locally, or escalate, by one threshold per accuracy target."""

from hawkvision.cascade.confidence import Prediction, predict, softmax
from hawkvision.cascade.policy import AccuracyTarget, CascadePolicy, parse_accuracy

__all__ = [
    "AccuracyTarget",
    "CascadePolicy",
    "Prediction",
    "parse_accuracy",
    "predict",
    "softmax",
]
