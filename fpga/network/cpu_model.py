"""The integer network as an ONNX file for CPUs: the same bits as the hardware, wherever it runs.

Convolutions sum integers in float32, which is exact below 2^24; requantizers multiply, add and
round down in float64, which is exact below 2^53. So one calibration serves both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

from fpga.network.layers import STREAM_BITS, Conv, Requant
from fpga.network.network import Network

_OPSET = 17


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: npt.NDArray[Any] | np.generic) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def requantized(self, x: str, requant: Requant) -> str:
        """`clip((x * m + b) >> s)` for float32 integers [N,C,H,W]; leaves float32."""
        scale = requant.multiplier.astype(np.float64).reshape(1, -1, 1, 1)
        bias = requant.bias.astype(np.float64).reshape(1, -1, 1, 1)
        power = np.float64(2.0**-requant.shift)
        wide = self.add("Cast", x, to=TensorProto.DOUBLE)
        scaled = self.add("Mul", wide, self.constant(scale * power))
        moved = self.add("Add", scaled, self.constant(bias * power))
        lower = self.add("Cast", self.add("Floor", moved), to=TensorProto.FLOAT)
        return self.clipped(lower, requant.low, requant.high)

    def clipped(self, x: str, low: int, high: int) -> str:
        limits = [self.constant(np.float32(value)) for value in (low, high)]
        return self.add("Clip", x, *limits)

    def conv(self, x: str, conv: Conv) -> str:
        padding = [conv.padding] * 4
        weights = self.constant(conv.weights.astype(np.float32))
        strides = [conv.stride] * 2
        summed = self.add("Conv", x, weights, strides=strides, pads=padding)
        return self.requantized(summed, conv.requant)


def cpu_model(network: Network, labels: Sequence[str]) -> Any:
    """An ONNX model: uint8 NHWC pixels in, logits float32 out, `labels` in its metadata."""
    b = _Builder()
    pixels = b.add("Cast", "image", to=TensorProto.FLOAT)
    centred = b.add("Sub", pixels, b.constant(np.float32(128)))
    x = b.conv(b.add("Transpose", centred, perm=[0, 3, 1, 2]), network.stem)
    for block in network.blocks:
        narrow = b.requantized(x, block.entry)
        branch = b.conv(b.conv(narrow, block.first), block.second)
        around = x if block.skip is None else b.conv(narrow, block.skip)
        x = b.clipped(b.add("Add", branch, around), 0, (1 << STREAM_BITS) - 1)
    head = network.head
    # Sums stay below 2^24: 255 * pixels * 127 * channels would not, so the dense layer is float64.
    summed = b.add("ReduceSum", x, b.constant(np.array([2, 3], np.int64)), keepdims=0)
    wide = b.add("Cast", summed, to=TensorProto.DOUBLE)
    dense = b.add("MatMul", wide, b.constant(head.weights.T.astype(np.float64)))
    biased = b.add("Add", dense, b.constant(head.bias.astype(np.float64)))
    scaled = b.add("Mul", biased, b.constant(np.float64(head.scale)))
    b.nodes.append(helper.make_node("Cast", [scaled], ["logits"], to=TensorProto.FLOAT))
    side = network.side
    graph = helper.make_graph(
        b.nodes,
        network.name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", network.classes])],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 10
    helper.set_model_props(model, {"labels": json.dumps(list(labels))})
    checker.check_model(model)
    return model
