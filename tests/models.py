"""A tiny task for tests: four colours, two linear classifiers, a real repository folder.

The edge rung sees an image through few pixels and errs on noisy ones; the large rung averages all
of them and is nearly always right.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import simplejpeg
from onnx import TensorProto, helper, numpy_helper

from hawkvision.calibration import CalibrationScores, Items
from hawkvision.cascade.chain import of_chain
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.images import InputGeometry, decode, fit
from hawkvision.repository import Rung, Task, write_task
from hawkvision.tasks.classification import (
    Classification,
    ClassificationHead,
    fit_temperature,
    softmax,
)

SIDE = 32
LABELS = ("red", "green", "blue", "grey")
_COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [110, 110, 110]], np.float32)
_NOISE = 120.0
_CALIBRATION_IMAGES = 600


def coloured_jpeg(
    label: str, seed: int = 0, size: tuple[int, int] = (48, 48), noise: float | None = None
) -> bytes:
    """A JPEG (quality 95) of `size` (width, height) in the label's colour.

    Seed 0 is clean; other seeds are noisy in blocks that survive resizing, or by `noise`.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    strength = (_NOISE if seed else 0.0) if noise is None else noise
    blocks = rng.standard_normal((8, 8, 3), np.float32) * strength
    rows = np.arange(height) * 8 // height
    columns = np.arange(width) * 8 // width
    image = np.clip(_COLOURS[LABELS.index(label)] + blocks[rows][:, columns], 0, 255)
    pixels = np.ascontiguousarray(image.astype(np.uint8))
    return bytes(simplejpeg.encode_jpeg(pixels, quality=95, colorspace="RGB"))


def classifier(patch: int, *, dtype: int = TensorProto.UINT8) -> onnx.ModelProto:
    """NHWC pixels [N,32,32,3] to logits [N,4]: nearest colour of the mean of a `patch` corner."""
    scale = 1 / 24.0
    weights = (2 * _COLOURS.T * scale / 128).astype(np.float32)
    bias = (-(_COLOURS**2).sum(axis=1) * scale / 128).astype(np.float32)
    constants = {
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([patch, patch], np.int64),
        "axes": np.array([1, 2], np.int64),
        "weights": weights,
        "bias": bias,
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", dtype, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


@lru_cache(maxsize=1)
def _calibration_pixels() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    geometry = InputGeometry(SIDE, SIDE, "stretch")
    labels = np.arange(_CALIBRATION_IMAGES, dtype=np.int32) % len(LABELS)
    images = [
        fit(decode(coloured_jpeg(LABELS[label], seed=10_000 + index)), geometry)
        for index, label in enumerate(labels)
    ]
    return np.stack(images), labels


def scores_of(
    labels: npt.NDArray[np.int32],
    probabilities: Sequence[npt.NDArray[np.float32]],
    thresholds: Sequence[float] = (),
) -> CalibrationScores:
    """Scores of intact images from the probabilities [N,K] of each rung.

    `thresholds` are those of the rungs between the first and the last.
    """
    classes = np.stack([p.argmax(axis=1) for p in probabilities]).astype(np.int32)
    confidence = np.stack([p.max(axis=1) for p in probabilities]).astype(np.float32)
    wrong = (classes != labels).astype(np.float32)
    chain = of_chain(classes[1:], confidence[1:], thresholds)
    return CalibrationScores(
        rung_loss=wrong[None],
        dc_loss=of_chain(wrong[1:], confidence[1:], thresholds)[None],
        rung_confidence=confidence[None],
        rung_raw_confidence=confidence,
        loss_levels=np.zeros(1),
        image_bytes=np.full(len(labels), 1000, np.int32),
        binary=True,
        items=Items(labels, classes[None], chain[None]),
    )


def add_version(root: Path, version: str, task: str = "tiny") -> Path:
    """Version 1 once more under another name; appears whole, as `taskbuild` puts it there."""
    whole = root / task / version
    coming = root / f".{task}-{version}"
    shutil.copytree(root / task / "1", coming)
    return coming.rename(whole)


def build_tiny_repository(root: Path, patches: tuple[int, int] = (9, SIDE)) -> Path:
    """Write `root/tiny/1/` and return `root`; the rungs see corners of `patches` pixels."""
    return build_chain(root, dict(zip(("edge", "dc"), patches, strict=True)))


def build_chain(
    root: Path, patches: Mapping[str, int], thresholds: Sequence[float] = (), version: str = "1"
) -> Path:
    """As `build_tiny_repository`, of any rungs; each takes 1 MB and 1 ms for each pixel it sees.

    `thresholds` are those of the rungs between the first and the last.
    """
    folder = root / "tiny" / version
    folder.mkdir(parents=True)
    geometry = InputGeometry(SIDE, SIDE, "stretch")
    images, labels = _calibration_pixels()
    rungs: list[Rung] = []
    logits = []
    for name, patch in patches.items():
        path = folder / f"{name}.onnx"
        onnx.save(classifier(patch), path)
        spec = ModelSpec(path, "NHWC", "uint8")
        engine = open_engine(spec)
        logits.append(engine.infer(images.transpose(0, 3, 1, 2))["logits"])
        engine.close()
        temperature = fit_temperature(logits[-1], labels)
        measured = {"milliseconds": float(patch), "memory_mb": float(patch)}
        threshold = thresholds[len(rungs) - 1] if 0 < len(rungs) <= len(thresholds) else None
        head = ClassificationHead(temperature)
        rungs.append(Rung(name, spec, "", geometry, head, threshold, measured))
    scores = scores_of(
        labels,
        [softmax(z, rung.head.temperature) for z, rung in zip(logits, rungs, strict=True)],
        thresholds,
    )
    scores.save(folder / "calibration.npz")
    write_task(
        Task(
            name="tiny",
            version=version,
            description="Four colours.",
            kind=Classification(LABELS, {"gray": "grey"}),
            default_accuracy=0.8,
            rungs=tuple(rungs),
            calibration=folder / "calibration.npz",
            calibration_sha256="",
            folder=folder,
        )
    )
    return root
