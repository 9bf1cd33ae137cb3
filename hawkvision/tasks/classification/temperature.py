"""Temperature scaling: one scalar that makes softmax confidence mean what it says.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hawkvision.errors import CalibrationError
from hawkvision.tasks.classification.prediction import softmax


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.integer]) -> float:
    """The temperature in [0.05, 20] that minimises the log loss.

    `logits` float32 [N,K], `labels` int [N]. Raises CalibrationError for non-finite logits or
    fewer than 20 images.
    """
    from scipy.optimize import minimize_scalar  # 25 MB that a serving process need not hold

    if len(labels) < 20 or len(labels) != len(logits):
        raise CalibrationError(
            f"{len(labels)} labelled images are too few to fit a temperature",
            hint="Give at least 20, better 200.",
        )
    if not np.isfinite(logits).all():
        raise CalibrationError(
            "the network's outputs contain NaN or infinity",
            hint="Check the model's normalisation and precision.",
        )
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    picked = shifted[np.arange(len(labels)), labels]

    def log_loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        partition = np.log(np.exp(shifted * inverse).sum(axis=1))
        return float((partition - picked * inverse).mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def expected_calibration_error(
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer],
    temperature: float,
    bins: int = 15,
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their counts."""
    probabilities = softmax(logits, temperature)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
