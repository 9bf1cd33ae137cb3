"""Confidence scaling: answer locally, or escalate, by one threshold per accuracy target."""

from hawkvision.cascade.accuracy import Accuracy, parse_accuracy
from hawkvision.cascade.policy import AccuracyTarget, CascadePolicy

__all__ = ["Accuracy", "AccuracyTarget", "CascadePolicy", "parse_accuracy"]
