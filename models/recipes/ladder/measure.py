"""What a variant is worth and what it costs: accuracy on held-out photos, size, time, memory."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from hawkvision.datasets import LabelledImage
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.images import InputGeometry, prepare
from hawkvision.repository.task import Kind
from hawkvision.taskbuild.cost import measure_cost
from hawkvision.tasks.classification import fit_temperature

Floats = npt.NDArray[np.float32]
_OPENINGS = 5


def model_spec(path: Path, precision: str) -> ModelSpec:
    """How a file of the ladder is fed: uint8 NHWC pixels, whatever it computes in."""
    return ModelSpec(path, "NHWC", "uint8", precision=precision)


def geometry_of(path: Path) -> InputGeometry:
    """A file's input; photos are cut to fit."""
    shape = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape
    height, width = (shape.dim[axis].dim_value for axis in (1, 2))
    return InputGeometry(width, height, "cover")


def answers(
    path: Path, geometry: InputGeometry, kind: Kind, images: Iterable[LabelledImage]
) -> tuple[Floats, Any]:
    """A file's logits [N,K] for labelled photos, one at a time on one thread, and the truth [N]."""
    engine = open_engine(model_spec(path, ""), threads=1)
    logits, truth = [], []
    try:
        for image in images:
            pixels = prepare(image.data, geometry)[None].transpose(0, 3, 1, 2)
            logits.append(next(iter(engine.infer(pixels).values())))
            truth.append(kind.truth(image.label))
    finally:
        engine.close()
    return np.concatenate(logits), np.array(truth, np.int32)


def accuracies(
    path: Path, kind: Kind, calibrating: Iterable[LabelledImage], reporting: Iterable[LabelledImage]
) -> dict[str, Any]:
    """Shares of right answers on photos that did not calibrate, on those that did, and on all."""
    geometry = geometry_of(path)
    fitted, reported = (answers(path, geometry, kind, part) for part in (calibrating, reporting))
    right = [logits.argmax(axis=1) == truth for logits, truth in (reported, fitted)]
    return {
        "accuracy": round(float(right[0].mean()), 4),
        "accuracy_calibrating": round(float(right[1].mean()), 4),
        "accuracy_all": round(float(np.concatenate(right).mean()), 4),
        "images": len(right[0]),
        "images_calibrating": len(right[1]),
        "temperature": round(fit_temperature(*fitted), 4),
    }


def costs(path: Path, precision: str) -> dict[str, Any]:
    """Milliseconds an image on one thread, MB of memory, and milliseconds to load (page cache)."""
    spec = model_spec(path, precision)
    cost = measure_cost(spec, geometry_of(path))
    loads = []
    for _ in range(_OPENINGS):
        start = time.perf_counter()
        open_engine(spec, threads=1).close()
        loads.append(time.perf_counter() - start)
    return {
        "milliseconds": cost.milliseconds,
        "p99_milliseconds": cost.p99_milliseconds,
        "memory_mb": cost.memory_mb,
        "load_milliseconds": round(float(np.median(loads)) * 1e3, 1),
    }
