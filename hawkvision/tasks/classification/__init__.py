"""Classification: one of a task's labels for each image, right or wrong.

The one room that knows of class ids, softmax and the order of labels.
"""

from hawkvision.tasks.classification.head import ClassificationHead
from hawkvision.tasks.classification.kind import Classification
from hawkvision.tasks.classification.prediction import ClassPrediction, softmax
from hawkvision.tasks.classification.temperature import (
    expected_calibration_error,
    fit_temperature,
)

__all__ = [
    "ClassPrediction",
    "Classification",
    "ClassificationHead",
    "expected_calibration_error",
    "fit_temperature",
    "softmax",
]
