"""Makes `pipeline.onnx` and `trees.onnx`: `python -m tests.data.flat`, some seconds on one core.

Classifiers of the four colours on flat rows of 8x8 px, converted as the documentation of skl2onnx
and onnxmltools says, with all options left alone: so both end in ZipMap. `pipeline.onnx` is of
scikit-learn: rows by pixel (HWC), 0 to 1 in float64, classes by name. `trees.onnx` is of LightGBM:
rows by colour (CHW), 0 to 255 in float32, classes by number. Needs scikit-learn, skl2onnx, lightgbm
and onnxmltools, of which only the first is a dependency of the tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from lightgbm import LGBMClassifier
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hawkvision.images import InputGeometry, decode, fit
from tests.models import LABELS, coloured_jpeg

SIDE = 8
SEED = 7


def main() -> None:
    """Train and convert."""
    geometry = InputGeometry(SIDE, SIDE, "stretch")
    images = np.stack(
        [
            fit(decode(coloured_jpeg(LABELS[index % 4], seed=index + 1)), geometry)
            for index in range(1200)
        ]
    )
    names = np.array([LABELS[index % 4] for index in range(len(images))])
    folder = Path(__file__).parent

    rows = images.reshape(len(images), -1) / 255
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
    pipeline.fit(rows, names)
    onnx.save(to_onnx(pipeline, rows[:1]), folder / "pipeline.onnx")

    pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(np.float32)
    numbers = np.unique(names, return_inverse=True)[1]
    trees = LGBMClassifier(
        n_estimators=12, num_leaves=6, random_state=SEED, n_jobs=1, verbose=-1
    ).fit(pixels, numbers)
    types = [("input", FloatTensorType([None, pixels.shape[1]]))]
    onnx.save(convert_lightgbm(trees, initial_types=types), folder / "trees.onnx")


if __name__ == "__main__":
    main()
