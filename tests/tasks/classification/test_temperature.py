"""Temperature scaling recovers the temperature that the logits were drawn with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hawkvision.errors import CalibrationError
from hawkvision.tasks.classification import (
    expected_calibration_error,
    fit_temperature,
    softmax,
)


def drawn(
    temperature: float, classes: int = 10, n: int = 6000
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    honest = rng.standard_normal((n, classes), np.float32) * 2
    chances = softmax(honest, 1.0).cumsum(axis=1)
    labels = (rng.random((n, 1)) > chances).sum(axis=1).clip(0, classes - 1)
    return honest * np.float32(temperature), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_the_temperature_is_recovered(temperature: float, classes: int) -> None:
    logits, labels = drawn(temperature, classes, 6000 if classes < 1000 else 2000)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.08)


def test_scaling_lowers_the_calibration_error() -> None:
    logits, labels = drawn(2.5)
    before = expected_calibration_error(logits, labels, 1.0)
    after = expected_calibration_error(logits, labels, fit_temperature(logits, labels))
    assert after < 0.02 < before


def test_nan_logits_are_refused() -> None:
    with pytest.raises(CalibrationError, match="NaN"):
        fit_temperature(np.full((50, 3), np.nan, np.float32), np.zeros(50, np.int64))


def test_too_few_images_are_refused() -> None:
    with pytest.raises(CalibrationError, match="too few"):
        fit_temperature(np.zeros((5, 3), np.float32), np.zeros(5, np.int64))
