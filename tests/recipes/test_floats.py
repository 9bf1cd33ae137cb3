"""Float graphs made of shipped int8 files: the true weights, no rounding, the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hawkvision import roadsigns
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.repository import Repository, shipped_repository
from models.recipes.floats import as_floats, parameters
from models.recipes.mirror import average_with_mirror, without_mirror


def shipped(task: str, rung: str) -> onnx.ModelProto:
    return onnx.load(Repository(shipped_repository()).open(task).rung(rung).model.path)


def logits(model: onnx.ModelProto, images: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / "model.onnx"
    onnx.save(model, path)
    engine = open_engine(ModelSpec(path, "NHWC", "uint8"))
    try:
        return next(iter(engine.infer(images.transpose(0, 3, 1, 2)).values()))
    finally:
        engine.close()


def signs(side: int, count: int = 12) -> np.ndarray:
    return np.stack([roadsigns.render(i * 3, seed=i, size=side) for i in range(count)])


@pytest.mark.parametrize(
    ("task", "rung", "side"), [("roadsigns", "edge", 40), ("imagenette", "edge", 128)]
)
def test_floats_answer_as_the_integers_but_for_their_rounding(
    task: str, rung: str, side: int, tmp_path: Path
) -> None:
    model = shipped(task, rung)
    floats = as_floats(model)
    assert not {node.op_type for node in floats.graph.node} & {"QuantizeLinear", "DequantizeLinear"}
    images = signs(side)
    wanted, found = (logits(one, images, tmp_path) for one in (model, floats))
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    assert not np.array_equal(found, wanted)


def test_weights_are_their_integers_times_their_steps() -> None:
    model = shipped("roadsigns", "edge")
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    floats = {one.name: numpy_helper.to_array(one) for one in as_floats(model).graph.initializer}
    made: list[Any] = [
        node for node in model.graph.node if node.input[0] in held and node.output[0] in floats
    ]
    assert len(made) > 10
    for node in made:
        steps, scale, zero = (held[name] for name in node.input)
        assert not zero.any()
        by_output = scale.reshape(-1, *[1] * (steps.ndim - 1)) if scale.ndim else scale
        np.testing.assert_allclose(floats[node.output[0]], steps * by_output, rtol=1e-6)


def test_a_file_has_the_parameters_of_its_layers() -> None:
    assert parameters(shipped("imagenette", "edge")) == 357_770


def test_an_average_of_mirror_images_is_that_of_the_file_without_it(tmp_path: Path) -> None:
    model = shipped("imagenette", "dc")
    images = signs(160, 2)
    single = without_mirror(model)
    assert parameters(single) == parameters(model)
    views = [logits(single, one, tmp_path) for one in (images, images[:, :, ::-1])]
    wanted = logits(model, images, tmp_path)
    np.testing.assert_allclose(sum(views) / 2, wanted, atol=1e-5)
    assert not np.allclose(views[0], wanted, atol=1e-3)
    again = logits(average_with_mirror(single, 10), images, tmp_path)
    np.testing.assert_array_equal(again, wanted)
