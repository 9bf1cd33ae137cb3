"""An int8 file for CPUs becomes one for TensorRT: same weights, nearly the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hawkvision.errors import EngineError
from hawkvision.taskbuild.quantization import quantize
from hawkvision.taskbuild.symmetric import symmetric

SIDE = 12
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def inputs() -> list[Any]:
    return [RNG.normal(size=(1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(32)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions with a ReLU and a shortcut, then a mean and a matrix product."""
    constants = {
        "w1": RNG.normal(size=(8, 3, 3, 3)) / 5,
        "b1": RNG.normal(size=8) / 5,
        "w2": RNG.normal(size=(8, 8, 3, 3)) / 8,
        "b2": RNG.normal(size=8) / 5,
        "d": RNG.normal(size=(8, 4)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["s"], name="sum"),
        helper.make_node("Relu", ["s"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "d"], ["y"], name="head"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in constants.items()
        ],
    )
    path = tmp_path_factory.mktemp("float") / "small.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


@pytest.fixture(scope="module")
def for_cpus(network: Path, inputs: list[Any]) -> onnx.ModelProto:
    out = network.with_suffix(".int8.onnx")
    quantize(network, out, inputs)
    return onnx.load(out)


def answers(model: onnx.ModelProto, x: Any) -> Any:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_answers_stay_close_to_the_float_networks(
    network: Path, for_cpus: onnx.ModelProto, inputs: list[Any]
) -> None:
    x = np.concatenate(inputs)
    wanted, found = answers(onnx.load(network), x), answers(symmetric(for_cpus), x)
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.05 * wanted.std()


def test_a_relu_that_uint8_hid_is_put_back(for_cpus: onnx.ModelProto) -> None:
    assert "Relu" not in {node.op_type for node in for_cpus.graph.node}
    made = symmetric(for_cpus)
    assert [node.op_type for node in made.graph.node].count("Relu") >= 1


def test_steps_are_int8_with_zero_point_0_and_biases_float(for_cpus: onnx.ModelProto) -> None:
    made = symmetric(for_cpus)
    constants = {one.name: numpy_helper.to_array(one) for one in made.graph.initializer}
    steps = [node for node in made.graph.node if "Linear" in node.op_type]
    assert steps
    for node in steps:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
    for node in made.graph.node:
        if node.op_type == "Conv":
            assert constants[node.input[2]].dtype == np.float32


def test_weights_stay_as_they_are(for_cpus: onnx.ModelProto) -> None:
    def whole(model: onnx.ModelProto) -> dict[str, Any]:
        arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        return {key: one for key, one in arrays.items() if one.dtype == np.int8 and one.ndim > 1}

    before, after = whole(for_cpus), whole(symmetric(for_cpus))
    assert set(before) == set(after) and len(after) == 3
    assert all((before[key] == after[key]).all() for key in before)


def test_pixels_are_cast_first_and_lose_nothing() -> None:
    constants = {
        "scale": np.float32(1 / 64),
        "zero": np.uint8(128),
        "w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["t", "scale", "zero"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = symmetric(model)
    assert made.graph.node[0].op_type == "Cast"
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    wanted = (image.transpose(0, 3, 1, 2).astype(np.float32) - 128) / 64
    np.testing.assert_array_equal(answers(made, image), wanted)


def test_other_formats_are_refused_with_what_to_do() -> None:
    nodes = [helper.make_node("ConvInteger", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "other", [], [])
    with pytest.raises(EngineError, match="ConvInteger") as caught:
        symmetric(helper.make_model(graph))
    assert "--for tensorrt" in (caught.value.hint or "")


def test_quantize_for_tensorrt_needs_no_second_step(
    network: Path, inputs: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "small.tensorrt.onnx"
    quantize(network, out, inputs, "tensorrt")
    kinds = {one.data_type for one in onnx.load(out).graph.initializer}
    assert TensorProto.UINT8 not in kinds and TensorProto.INT32 not in kinds
