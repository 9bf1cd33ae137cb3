"""Kinds of task: what a network's outputs mean, how sure they are, how wrong they were."""

from hawkvision.tasks.base import (
    Itemised,
    ModelOutputs,
    Outputs,
    Placement,
    Plan,
    Prediction,
    TaskKind,
    TensorSpec,
)
from hawkvision.tasks.registry import kind_named

__all__ = [
    "Itemised",
    "ModelOutputs",
    "Outputs",
    "Placement",
    "Plan",
    "Prediction",
    "TaskKind",
    "TensorSpec",
    "kind_named",
]
