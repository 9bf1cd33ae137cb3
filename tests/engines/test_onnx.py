"""ONNX Runtime behind the engine protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawkvision.engines import ModelSpec, available_engines, open_engine
from hawkvision.engines.base import Dtype
from hawkvision.errors import EngineError
from hawkvision.tasks import Outputs
from tests.models import SIDE, classifier


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (5, 3, SIDE, SIDE), np.uint8)


def mean_model(path: Path, *, batch: int | str = "n", softmax: bool = False) -> Path:
    """Float NCHW [batch,3,4,4] to the channel means, or their softmax."""
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["pooled"])]
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("Softmax" if softmax else "Identity", ["flat"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path
    )
    return path


def test_the_onnx_engine_is_registered() -> None:
    assert "onnx" in available_engines()


def first(outputs: Outputs) -> np.ndarray:
    return next(iter(outputs.values()))


def test_an_nhwc_model_takes_nchw_batches(tmp_path: Path, pixels: np.ndarray) -> None:
    onnx.save(classifier(SIDE), tmp_path / "m.onnx")
    engine = open_engine(ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8"))
    assert engine.infer(pixels)["logits"].shape == (5, 4)
    assert engine.metadata.input_shape == (3, SIDE, SIDE)


def test_uint8_pixels_are_normalised_for_float_models(tmp_path: Path) -> None:
    spec = ModelSpec(mean_model(tmp_path / "m.onnx"), mean=(10, 20, 30), std=(2, 4, 5))
    image = np.full((1, 3, 4, 4), 50, np.uint8)
    assert first(open_engine(spec).infer(image))[0].tolist() == pytest.approx([20, 7.5, 4])


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "float64")]
)
def test_a_file_of_other_floats_gets_them(tmp_path: Path, kind: int, dtype: Dtype) -> None:
    onnx.save(of_floats(kind), tmp_path / "m.onnx")
    spec = ModelSpec(tmp_path / "m.onnx", dtype=dtype, mean=(10, 20, 30), std=(2, 4, 5))
    engine = open_engine(spec)
    image = np.full((3, 3, 4, 4), 50, np.uint8)
    found = first(engine.infer(image))
    assert found.dtype == np.float32 and engine.metadata.dtype == dtype
    assert found[2].tolist() == pytest.approx([20, 7.5, 4])
    assert first(engine.infer(np.ones((1, 3, 4, 4), np.float32)))[0].tolist() == [1, 1, 1]
    # Beyond 65504 there is no number of 16 bits; the kind of the task says what is wrong.
    beyond = first(engine.infer(np.full((1, 3, 4, 4), 1e5, np.float32)))
    assert np.isinf(beyond).all() == (dtype == "float16")


def of_floats(kind: int) -> onnx.ModelProto:
    """NCHW [N,3,4,4] of a type to the largest of each channel, in the same type."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[2, 3], keepdims=0)],
        "most",
        [helper.make_tensor_value_info("x", kind, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_a_fixed_batch_serves_any_number(tmp_path: Path) -> None:
    engine = open_engine(ModelSpec(mean_model(tmp_path / "m.onnx", batch=4)))
    batch = np.arange(7, dtype=np.float32)[:, None, None, None] * np.ones((7, 3, 4, 4), np.float32)
    assert first(engine.infer(batch))[:, 0].tolist() == pytest.approx(list(range(7)))


def test_named_outputs_come_by_their_names(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", softmax=True)
    image = np.zeros((1, 3, 4, 4), np.float32)
    name = next(iter(open_engine(ModelSpec(path)).infer(image)))
    assert list(open_engine(ModelSpec(path, outputs=(name,))).infer(image)) == [name]
    with pytest.raises(EngineError, match="no output 'boxes'") as caught:
        open_engine(ModelSpec(path, outputs=("boxes",)))
    assert name in caught.value.hint


def test_threads_get_the_same_answers(tmp_path: Path, pixels: np.ndarray) -> None:
    onnx.save(classifier(9), tmp_path / "m.onnx")
    engine = open_engine(ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8"))
    expected = first(engine.infer(pixels))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: first(engine.infer(pixels)), range(40)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_a_wrong_shape_is_one_clear_error(tmp_path: Path) -> None:
    onnx.save(classifier(9), tmp_path / "m.onnx")
    engine = open_engine(ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8"))
    with pytest.raises(EngineError, match="inference failed"):
        engine.infer(np.zeros((1, 3, 8, 8), np.uint8))


def test_a_file_that_is_no_model_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineError, match=r"cannot load m\.onnx"):
        open_engine(ModelSpec(tmp_path / "m.onnx"))


def test_an_unknown_engine_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        open_engine(ModelSpec(tmp_path / "m.onnx"), name="abacus")
    assert "onnx" in caught.value.hint


def test_an_output_that_holds_nothing_is_said(tmp_path: Path) -> None:
    model = classifier(9)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.zeros(4, bool), "none"))
    graph.node.append(helper.make_node("Compress", ["logits", "none"], ["left"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("left", TensorProto.FLOAT, ["n", "k"]))
    onnx.save(model, tmp_path / "m.onnx")
    engine = open_engine(ModelSpec(tmp_path / "m.onnx", "NHWC", "uint8"))
    with pytest.raises(EngineError, match=r"output 'left' of m\.onnx is"):
        engine.infer(np.zeros((1, 3, SIDE, SIDE), np.uint8))
    engine.close()
