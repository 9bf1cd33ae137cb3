"""A QONNX file executed in floats by ONNX Runtime: what the integer network is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fpga.network.streamline import INPUT_STEP
from hawkvision.engines import onnx_runtime
from hawkvision.errors import RepositoryError

_BATCH = 256


def plain_onnx(model: Any) -> Any:
    """The model with each `Quant` node written out in standard operators (QONNX, section 3)."""
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = next(a.t for a in node.attribute if a.name == "value")
            constants[node.output[0]] = numpy_helper.to_array(value)
    nodes = []
    for index, node in enumerate(graph.node):
        if node.op_type != "Quant":
            nodes.append(node)
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        bits = int(constants[node.input[3]])
        high = (1 << (bits - 1)) - 1 if given["signed"] else (1 << bits) - 1
        low = (-high - (not given["narrow"])) if given["signed"] else 0
        names = [f"quant{index}_{part}" for part in ("low", "high", "steps", "near", "whole")]
        for name, limit in zip(names[:2], (low, high), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.array(limit, np.float32), name))
        nodes += [
            helper.make_node("Div", [node.input[0], node.input[1]], [names[2]]),
            helper.make_node("Round", [names[2]], [names[3]]),
            helper.make_node("Clip", [names[3], names[0], names[1]], [names[4]]),
            helper.make_node("Mul", [names[4], node.input[1]], [node.output[0]]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:], graph.value_info[:]
    graph.input.extend(inputs)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    model.ir_version = min(model.ir_version, 10)
    for value in (*graph.input, *graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.Clear()
        dimension.dim_param = "n"
    return model


def run_qonnx(path: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Logits float32 [N, classes] of uint8 images [N, side, side, 3].

    Raises RepositoryError where ONNX Runtime cannot execute the file, EngineError where it is not
    installed.
    """
    onnxruntime = onnx_runtime()
    try:
        model = plain_onnx(onnx.load(str(path)))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it says much of constants that are no longer used
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # each library has its own
        raise RepositoryError(f"{path.name} cannot be executed: {error}") from error
    name = session.get_inputs()[0].name
    parts = []
    for start in range(0, len(images), _BATCH):
        x = (images[start : start + _BATCH].astype(np.float32) - 128) * np.float32(INPUT_STEP)
        parts.append(session.run(None, {name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0])
    return np.concatenate(parts)
