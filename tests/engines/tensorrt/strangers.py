"""Files of other people as exporters make them, small: what TensorRT takes and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)
SIDE = 16


def save(
    path: Path,
    nodes: list[Any],
    constants: dict[str, Any],
    shape: list[Any],
    *,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
    out: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "stranger",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", out, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def weights(dtype: Any = np.float32) -> dict[str, Any]:
    return {
        "w": RNG.normal(size=(8, 3, 3, 3)).astype(dtype),
        "b": RNG.normal(size=8).astype(dtype),
        "d": RNG.normal(size=(8, 5)).astype(dtype),
    }


def body(source: str, weight: str = "w", bias: str = "b") -> list[Any]:
    """A convolution, a ReLU, a global mean, a matrix product: `source` to `y`."""
    return [
        helper.make_node("Conv", [source, weight, bias], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "d"], ["y"], name="head"),
    ]


def plain(path: Path, *, batch: Any = "n", opset: int = 17) -> Path:
    return save(path, body("x"), weights(), [batch, 3, SIDE, SIDE], opset=opset)


def nhwc(path: Path) -> Path:
    turn = helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[0, 3, 1, 2])
    return save(path, [turn, *body("t")], weights(), ["n", SIDE, SIDE, 3])


def half(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], name="narrow", to=TensorProto.FLOAT16),
        *body("h"),
    ]
    nodes[-1].output[0] = "z"
    nodes.append(helper.make_node("Cast", ["z"], ["y"], name="widen", to=TensorProto.FLOAT))
    return save(path, nodes, weights(np.float16), ["n", 3, SIDE, SIDE])


def steps(path: Path, *, zero: Any, bias: str = "b") -> Path:
    """Q and DQ around the input and on the weights; `zero` is the activations' zero point."""
    constants = weights() | {
        "scale": np.float32(0.02),
        "zero": zero,
        "w8": RNG.integers(-127, 127, (8, 3, 3, 3), np.int8),
        "ws": np.full(8, 0.01, np.float32),
        "wz": np.zeros(8, np.int8),
        "b32": RNG.integers(-99, 99, 8, np.int32),
        "bs": np.full(8, 0.0002, np.float32),
        "bz": np.zeros(8, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["a"], name="dq"),
        helper.make_node("DequantizeLinear", ["w8", "ws", "wz"], ["wf"], name="w_dq", axis=0),
        helper.make_node("DequantizeLinear", ["b32", "bs", "bz"], ["bf"], name="b_dq", axis=0),
        *body("a", "wf", "bf" if bias == "int32" else "b"),
    ]
    if bias != "int32":
        nodes = [node for node in nodes if node.name != "b_dq"]
    return save(path, nodes, constants, ["n", 3, SIDE, SIDE])


def pixels_sliced(path: Path) -> Path:
    """Mirrors uint8 pixels before they are cast."""
    constants = weights() | {
        name: np.array([value], np.int64)
        for name, value in {"start": -1, "end": -99, "axis": 3, "step": -1}.items()
    }
    nodes = [
        helper.make_node("Slice", ["x", "start", "end", "axis", "step"], ["m"], name="mirror"),
        helper.make_node("Cast", ["m"], ["p"], name="cast", to=TensorProto.FLOAT),
        *body("p"),
    ]
    return save(path, nodes, constants, ["n", 3, SIDE, SIDE], dtype=TensorProto.UINT8)


def unknown(path: Path) -> Path:
    nodes = [helper.make_node("StringNormalizer", ["x"], ["y"], name="words")]
    return save(path, nodes, {}, ["n", 3, SIDE, SIDE])
