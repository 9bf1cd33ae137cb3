"""Float graphs from int8 files: each weight's true value, `integer * scale`, and no more rounding.

Meant for the files that `hawkvision.taskbuild.quantization` writes; their pixels stay uint8.
Where its quantizer left out a ReLU, because uint8 from 0 clips as well, it is put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]


def dequantized(graph: onnx.GraphProto) -> dict[str, Array]:
    """Constants by name, and in floats what a DequantizeLinear makes of them, by its output."""
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in held:
            continue
        steps, scale, zero = (held[name] for name in node.input)
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        along = [-1 if place == axis else 1 for place in range(steps.ndim)]
        wide = [one.reshape(along) if one.ndim else one for one in (scale, zero)]
        held[node.output[0]] = (steps.astype(np.float32) - wide[1]).astype(np.float32) * wide[0]
    return held


def as_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an int8 QDQ file that computes in float32. Raises ValidationError."""
    graph = model.graph
    constants = dequantized(graph)
    steps = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    nodes: list[onnx.NodeProto] = []
    same: dict[str, str] = {}
    """Tensors that are another one now, because nothing stands between them any more."""
    positive: set[str] = set()
    for node in graph.node:
        source = same.get(node.input[0], node.input[0])
        if node.op_type == "QuantizeLinear" or node.output[0] in constants:
            continue
        if node.op_type != "DequantizeLinear":
            made = onnx.NodeProto.FromString(node.SerializeToString())
            made.input[:] = [same.get(name, name) for name in node.input]
            nodes.append(made)
            if node.op_type == "Relu" or (_keeps_sign(node) and source in positive):
                positive.add(node.output[0])
        elif node.input[0] not in steps:
            nodes += _pixels(node, constants)
        else:
            before = steps[node.input[0]].input[0]
            before = same.get(before, before)
            if constants[node.input[2]] == 0 and before not in positive:
                nodes.append(helper.make_node("Relu", [before], [node.output[0]]))
                positive.add(node.output[0])
            else:
                same[node.output[0]] = before
    for output in graph.output:
        if output.name in same:
            nodes.append(helper.make_node("Identity", [same[output.name]], [output.name]))
    return rebuilt(model, nodes, constants)


def parameters(model: onnx.ModelProto) -> int:
    """Numbers that convolutions and linear layers hold, biases too."""
    constants = dequantized(model.graph)
    return sum(
        constants[name].size
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
        for name in node.input[1:]
    )


def _keeps_sign(node: onnx.NodeProto) -> bool:
    return node.op_type in ("AveragePool", "ReduceMean", "GlobalAveragePool", "Flatten", "Reshape")


def _pixels(node: onnx.NodeProto, constants: dict[str, Array]) -> list[onnx.NodeProto]:
    """(x - zero point) * scale of uint8 pixels, in floats."""
    target = node.output[0]
    scale, zero = constants[node.input[1]], constants[node.input[2]]
    constants |= {f"{target}_zero": zero.astype(np.float32), f"{target}_scale": scale}
    return [
        helper.make_node("Cast", [node.input[0]], [f"{target}_wide"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{target}_wide", f"{target}_zero"], [f"{target}_centred"]),
        helper.make_node("Mul", [f"{target}_centred", f"{target}_scale"], [target]),
    ]


def rebuilt(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], constants: dict[str, Array]
) -> onnx.ModelProto:
    """A copy of a model with these nodes, and of the constants those that they read."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    graph = made.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, order="C"), name)
        for name, value in constants.items()
        if name in read
    )
    onnx.checker.check_model(made, full_check=True)
    return made
