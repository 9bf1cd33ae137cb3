"""Import: a QONNX file of a quantized residual network to typed layers, nothing folded yet.

QONNX (Pappalardo et al., arXiv 2206.07527) is ONNX with `Quant` nodes; Brevitas exports it. The
graph must be one that `Network` can hold; what is not is refused by its node's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hawkvision.errors import RepositoryError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantizer:
    """A `Quant` node on activations: the value of one step, its bits; zero point 0."""

    step: float
    bits: int
    signed: bool


@dataclass(frozen=True)
class QuantConv:
    """A convolution with quantized weights, then batch norm as `scale * x + offset` by channel.

    `weights` int8 [Cout,Cin,K,K] in steps of `weight_steps` float64 [Cout].
    """

    name: str
    weights: npt.NDArray[np.int8]
    weight_steps: Floats
    weight_bits: int
    stride: int
    scale: Floats
    offset: Floats


@dataclass(frozen=True)
class QuantBlock:
    """`stream(second(inner(first(entry(x)))) + around)`; `around` is x or the rounded `skip`."""

    entry: Quantizer
    first: QuantConv
    inner: Quantizer
    second: QuantConv
    skip: QuantConv | None
    stream: Quantizer


@dataclass(frozen=True)
class QuantModel:
    """All layers of a network; `weights` of the head int8 [classes, C], its bias in logits."""

    stem: QuantConv
    stream: Quantizer
    blocks: tuple[QuantBlock, ...]
    head_weights: npt.NDArray[np.int8]
    head_step: float
    head_bias: Floats

    def convolutions(self) -> Iterator[QuantConv]:
        """In the order of the data."""
        yield self.stem
        for block in self.blocks:
            yield from (block.first, block.second)
            if block.skip is not None:
                yield block.skip


def import_qonnx(path: Path) -> QuantModel:
    """Read and check a file. Raises RepositoryError that names the node that does not fit."""
    try:
        model = onnx.load(str(path))
    except Exception as error:  # onnx raises whatever protobuf does
        raise RepositoryError(f"{path.name} is not an ONNX file: {error}", hint=_WANTED) from error
    _check_quantized(model.graph, path.name)
    return _Reader(model.graph, path.name).model()


_QUANTIZERS = frozenset({"Quant", "IntQuant", "BipolarQuant"})
_WANTED = (
    "The compiler wants QONNX, ONNX with Quant nodes: train with quantization in Brevitas and "
    "write it with brevitas.export.export_qonnx; docs/fpga.md says which networks fit."
)


def _check_quantized(graph: Any, name: str) -> None:
    nodes = {node.op_type for node in graph.node}
    if nodes & _QUANTIZERS:
        return
    what = "QDQ, as ONNX Runtime quantizes" if "QuantizeLinear" in nodes else "floats"
    raise RepositoryError(f"{name} is a network in {what}, not QONNX", hint=_WANTED)


class _Reader:
    """Walks the graph along its only path, from the input to the logits."""

    def __init__(self, graph: Any, name: str) -> None:
        self._graph, self._name = graph, name
        self._constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self._consumers: dict[str, list[Any]] = {}
        self._producers: dict[str, Any] = {}
        for node in graph.node:
            for output in node.output:
                self._producers[output] = node
            for tensor in node.input:
                self._consumers.setdefault(tensor, []).append(node)
            if node.op_type == "Constant":
                self._constants[node.output[0]] = numpy_helper.to_array(
                    next(a.t for a in node.attribute if a.name == "value")
                )

    def _refuse(self, node: Any, why: str) -> RepositoryError:
        return RepositoryError(
            f"{self._name}: node {node.name or node.op_type} ({node.op_type}): {why}",
            hint="docs/fpga.md lists the networks that can be compiled.",
        )

    def model(self) -> QuantModel:
        inputs = [i.name for i in self._graph.input if i.name not in self._constants]
        if len(inputs) != 1:
            raise RepositoryError(f"{self._name} has {len(inputs)} inputs, not one")
        stem, tensor = self._conv("stem", self._only(inputs[0], "Conv"))
        stream, tensor = self._activation(tensor)
        blocks: list[QuantBlock] = []
        while not self._next(tensor, "ReduceMean", "GlobalAveragePool"):
            block, tensor = self._block(f"block{len(blocks)}", tensor)
            blocks.append(block)
        weights, step, bias = self._head(tensor)
        return QuantModel(stem, stream, tuple(blocks), weights, step, bias)

    def _next(self, tensor: str, *kinds: str) -> list[Any]:
        return [node for node in self._consumers.get(tensor, []) if node.op_type in kinds]

    def _only(self, tensor: str, *kinds: str) -> Any:
        """The only consumer of these kinds."""
        found = self._next(tensor, *kinds)
        if len(found) != 1:
            there = [node.op_type for node in self._consumers.get(tensor, [])]
            raise RepositoryError(
                f"{self._name}: after {tensor} one {' or '.join(kinds)} is wanted, found {there}"
            )
        return found[0]

    def _constant(self, node: Any, index: int) -> npt.NDArray[Any]:
        try:
            return self._constants[node.input[index]]
        except (KeyError, IndexError) as error:
            raise self._refuse(node, f"input {index} is not a constant") from error

    @staticmethod
    def _attributes(node: Any) -> dict[str, Any]:
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _quantizer(self, node: Any) -> tuple[Floats, int, bool, bool]:
        """Steps, bits, signed and narrow of a Quant node."""
        given = self._attributes(node)
        if np.any(self._constant(node, 2)):
            raise self._refuse(node, "a zero point other than 0")
        if given.get("rounding_mode", b"ROUND") != b"ROUND":
            raise self._refuse(node, "rounds otherwise than to nearest")
        steps = self._constant(node, 1).astype(np.float64).reshape(-1)
        bits = int(self._constant(node, 3))
        return steps, bits, bool(given["signed"]), bool(given["narrow"])

    def _activation(self, tensor: str) -> tuple[Quantizer, str]:
        """A rectifier and its quantizer."""
        relu = self._only(tensor, "Relu")
        return self._quantized(self._only(relu.output[0], "Quant"))

    def _quantized(self, node: Any) -> tuple[Quantizer, str]:
        steps, bits, signed, _narrow = self._quantizer(node)
        if len(steps) != 1 or signed:
            raise self._refuse(node, "activations have one step and no sign")
        return Quantizer(float(steps[0]), bits, signed), node.output[0]

    def _weights(self, node: Any) -> tuple[npt.NDArray[np.int8], Floats, int]:
        """Integers, steps and bits of a Quant node on weights."""
        steps, bits, signed, narrow = self._quantizer(node)
        if not (signed and narrow and bits <= 8):
            raise self._refuse(node, "weights are signed and symmetric, up to 8 bits")
        given = self._constant(node, 0).astype(np.float64)
        shaped = steps.reshape(-1, *[1] * (given.ndim - 1))
        limit = (1 << (bits - 1)) - 1
        whole = np.clip(np.round(given / shaped), -limit, limit).astype(np.int8)
        return whole, np.broadcast_to(steps, (len(given),)).copy(), bits

    def _conv(self, name: str, node: Any) -> tuple[QuantConv, str]:
        given = self._attributes(node)
        quant = self._producers.get(node.input[1])
        if quant is None or quant.op_type != "Quant":
            raise self._refuse(node, "its weights are not quantized")
        weights, steps, bits = self._weights(quant)
        kernel, stride = weights.shape[2], int(given["strides"][0])
        square = list(given["strides"]) == [stride] * 2 and weights.shape[2] == weights.shape[3]
        padded = list(given["pads"]) == [kernel // 2] * 4
        if not square or not padded or kernel not in (1, 3) or stride not in (1, 2):
            raise self._refuse(node, "only 1x1 and 3x3, stride 1 or 2, border of half the kernel")
        if given.get("group", 1) != 1 or set(given.get("dilations", [1])) != {1}:
            raise self._refuse(node, "groups and dilations are not built")
        norm = self._only(node.output[0], "BatchNormalization")
        gain, shift, mean, variance = (
            self._constant(norm, index).astype(np.float64) for index in range(1, 5)
        )
        scale = gain / np.sqrt(variance + self._attributes(norm).get("epsilon", 1e-5))
        bias = self._constant(node, 2).astype(np.float64) if len(node.input) > 2 else 0.0
        offset = shift + (bias - mean) * scale
        return QuantConv(name, weights, steps, bits, stride, scale, offset), norm.output[0]

    def _block(self, name: str, tensor: str) -> tuple[QuantBlock, str]:
        # The stream is rectified already; the narrow quantizer may repeat that.
        doors = self._next(tensor, "Relu", "Quant")
        if len(doors) != 1:
            raise RepositoryError(f"{self._name}: {name}: {tensor} has no quantizer after it")
        if doors[0].op_type == "Relu":
            entry, narrow = self._activation(tensor)
        else:
            entry, narrow = self._quantized(doors[0])
        found = self._next(narrow, "Conv")
        first = [node for node in found if self._leads_to(node, "Relu")]
        ways = [node for node in found if node not in first]
        if len(first) != 1 or len(ways) > 1:
            raise RepositoryError(f"{self._name}: {name} is not a residual block")
        one, middle = self._conv(f"{name}.first", first[0])
        inner, middle = self._activation(middle)
        two, branch = self._conv(f"{name}.second", self._only(middle, "Conv"))
        skip, around, rounded = None, tensor, None
        if ways:
            skip, around = self._conv(f"{name}.skip", ways[0])
            around, rounded = self._rounding(around)
        add = self._only(branch, "Add")
        if set(add.input) != {branch, around}:
            raise self._refuse(add, f"adds something else than {name}'s two ways")
        stream, out = self._activation(add.output[0])
        if rounded is not None and not np.isclose(rounded, stream.step, rtol=1e-5):
            raise self._refuse(add, "the way around is rounded to other steps than the stream's")
        return QuantBlock(entry, one, inner, two, skip, stream), out

    def _leads_to(self, conv: Any, kind: str) -> bool:
        norm = self._next(conv.output[0], "BatchNormalization")
        return bool(norm) and bool(self._next(norm[0].output[0], kind))

    def _rounding(self, tensor: str) -> tuple[str, float]:
        """Division by a step, rounding, multiplication by it: both sums are rounded alone."""
        divide = self._only(tensor, "Div")
        nearest = self._only(divide.output[0], "Round")
        multiply = self._only(nearest.output[0], "Mul")
        step = float(self._constant(divide, 1).reshape(-1)[0])
        if not np.isclose(float(self._constant(multiply, 1).reshape(-1)[0]), step):
            raise self._refuse(multiply, "does not undo the division")
        return multiply.output[0], step

    def _head(self, tensor: str) -> tuple[npt.NDArray[np.int8], float, Floats]:
        pool = self._only(tensor, "ReduceMean", "GlobalAveragePool")
        following = pool.output[0]
        for flat in self._next(following, "Flatten", "Reshape"):
            following = flat.output[0]
        dense = self._only(following, "Gemm")
        given = self._attributes(dense)
        if not given.get("transB") or (given.get("alpha", 1.0), given.get("beta", 1.0)) != (1, 1):
            raise self._refuse(dense, "only x @ W.T + b")
        quant = self._producers.get(dense.input[1])
        if quant is None or quant.op_type != "Quant":
            raise self._refuse(dense, "its weights are not quantized")
        weights, steps, _bits = self._weights(quant)
        if not np.allclose(steps, steps[0]):
            raise self._refuse(dense, "the dense layer has one step for all its weights")
        return weights, float(steps[0]), self._constant(dense, 2).astype(np.float64)
