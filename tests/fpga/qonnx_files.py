"""An integer network written down as a QONNX file, in the shape in which Brevitas exports one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fpga.network.layers import Conv, Requant
from fpga.network.network import Network
from fpga.network.streamline import INPUT_STEP

_DOMAIN = "qonnx.custom_op.general"


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.asarray(value, np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def quant(self, x: str, step: Any, bits: int, *, signed: bool, zero: float = 0.0) -> str:
        given = [self.constant(step), self.constant(zero), self.constant(float(bits))]
        flags = {"signed": int(signed), "narrow": int(signed), "rounding_mode": "ROUND"}
        return self.add("Quant", x, *given, domain=_DOMAIN, **flags)

    def rectified(self, x: str, step: float, bits: int) -> str:
        return self.quant(self.add("Relu", x), step, bits, signed=False)

    def conv(self, x: str, conv: Conv, entering: float, leaving: float, **other: Any) -> str:
        """Weights in steps of 1/8; batch norm does what the requantizer does."""
        step, requant = 0.125, conv.requant
        weights = self.constant(conv.weights * step)
        shape = (conv.out_channels, 1, 1, 1)
        quantized = self.quant(weights, np.full(shape, step), conv.weight_bits, signed=True)
        given = {"pads": [conv.padding] * 4, "strides": [conv.stride] * 2, "group": 1, **other}
        kernel = [conv.kernel] * 2
        summed = self.add("Conv", x, quantized, kernel_shape=kernel, dilations=[1, 1], **given)
        power = 2.0**-requant.shift
        gain = requant.multiplier * power * leaving / (step * entering)
        shift = (requant.bias * power - 0.5) * leaving
        mean, variance = np.full(len(gain), 0.25), np.full(len(gain), 4.0)
        parts = (gain * 2.0, shift + 0.25 * gain, mean, variance)
        norm = [self.constant(np.broadcast_to(part, len(gain))) for part in parts]
        return self.add("BatchNormalization", summed, *norm, epsilon=0.0)


def entry_step(stream: float, requant: Requant) -> float:
    return float(stream * 2.0**requant.shift / requant.multiplier[0])


def write_qonnx(network: Network, path: Path, **conv: Any) -> None:
    """`conv` are attributes of the first convolution that differ."""
    g, stream, inner = _Graph(), 0.05, 0.2
    x = g.rectified(g.conv("x", network.stem, INPUT_STEP, stream, **conv), stream, 8)
    for block in network.blocks:
        entry = entry_step(stream, block.entry)
        narrow = g.rectified(x, entry, 4)
        middle = g.rectified(g.conv(narrow, block.first, entry, inner), inner, 4)
        branch = g.conv(middle, block.second, inner, stream)
        if block.skip is not None:
            around = g.conv(narrow, block.skip, entry, stream)
            whole = g.add("Round", g.add("Div", around, g.constant(stream)))
            x = g.add("Mul", whole, g.constant(stream))
        x = g.rectified(g.add("Add", branch, x), stream, 8)
    head = network.head
    step = head.scale * network.head_part.side**2 / stream
    pooled = g.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    weights = g.quant(g.constant(head.weights * step), step, 8, signed=True)
    logits = g.add("Gemm", pooled, weights, g.constant(head.bias * head.scale), transB=1)
    shape = [1, 3, network.side, network.side]
    graph = helper.make_graph(
        g.nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, network.classes])],
        g.constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_DOMAIN, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
