"""An int8 network as TensorRT takes it, made of one that suits CPUs: same weights, other steps.

CPUs want activations as uint8 with a zero point, biases as int32 and pixels that enter as they are.
TensorRT wants int8 with zero point 0, float biases, and a Cast before anything touches uint8.
Nothing is measured again: ranges are those of the CPU's file. Where its quantizer left out a ReLU,
because uint8 from 0 clips as well, it is put back. Source: onnx-tensorrt, `docs/operators.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.errors import EngineError

_WEIGHTED = ("Conv", "Gemm", "MatMul", "ConvTranspose")
KEPT = 0.9
"""Of a range that int8 covers: what lies beyond is rare, and all else gets finer steps."""
_POOLS = ("AveragePool", "MaxPool", "GlobalAveragePool")
_KEEP_SIGN = (*_POOLS, "ReduceMean", "Flatten", "Reshape", "Transpose")
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_INTEGER_FORMAT = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm")

Array = npt.NDArray[Any]


def symmetric(model: Any, *, kept: float = KEPT) -> Any:
    """A copy of a QDQ `onnx.ModelProto` that TensorRT takes; its answers differ by rounding.

    int8 activations with zero point 0 stay where weights follow, as TensorRT wants them for its
    fused kernels, over `kept` of their range; elsewhere the range stays, as a Clip. Raises
    EngineError for files that are quantized in another way.
    """
    import onnx

    rewriting = _Rewriting(onnx.ModelProto.FromString(model.SerializeToString()), kept)
    rewriting.fold_constants()
    rewriting.replace_steps()
    rewriting.cast_pixels()
    return rewriting.finish()


@dataclass(frozen=True, slots=True)
class _Step:
    """What one QuantizeLinear or DequantizeLinear does: its scale, zero point and end points."""

    scale: Array
    zero: Array
    low: float
    high: float

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and largest real value; of a scalar step."""
        scale, zero = float(self.scale.reshape(-1)[0]), float(self.zero.reshape(-1)[0])
        return (self.low - zero) * scale, (self.high - zero) * scale


@dataclass
class _Rewriting:
    model: Any
    kept: float
    nodes: list[Any] = field(init=False)
    constants: dict[str, Array] = field(init=False)
    positive: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        from onnx import numpy_helper

        graph = self.model.graph
        self.constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        self.nodes = []
        for node in graph.node:
            if node.op_type in _INTEGER_FORMAT:
                raise EngineError(
                    f"operator {node.op_type}: the file is not in the QDQ format",
                    hint="Quantize the float network with `hawkvision quantize --for tensorrt`.",
                )
            value = [one.t for one in node.attribute if one.name == "value"]
            if node.op_type == "Constant" and value:
                self.constants[node.output[0]] = numpy_helper.to_array(value[0])
            else:
                self.nodes.append(node)

    def consumers(self, tensor: str) -> list[Any]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.input]

    def step(self, node: Any) -> _Step:
        """How a node of a pair maps numbers. Raises EngineError."""
        found = [self.constants.get(name) for name in node.input[1:]]
        if not found or any(one is None for one in found):
            raise self._unfit(node, "its scale is no constant")
        scale, zero = found[0], found[1] if len(found) > 1 else np.zeros((), np.uint8)
        assert scale is not None and zero is not None
        if zero.dtype not in (np.uint8, np.int8, np.int32):
            raise self._unfit(node, f"{zero.dtype} is not int8")
        limits = np.iinfo(zero.dtype)
        return _Step(scale, zero, float(limits.min), float(limits.max))

    def _unfit(self, node: Any, why: str) -> EngineError:
        return EngineError(
            f"node {node.name or node.output[0]!r} ({node.op_type}): {why}",
            hint="Quantize the float network with `hawkvision quantize --for tensorrt`.",
        )

    def fold_constants(self) -> None:
        """Biases and other constants become float; int8 weights with zero point 0 stay."""
        kept = []
        for node in self.nodes:
            values = self.constants.get(node.input[0]) if node.op_type == _PAIR[1] else None
            if values is None or self._is_weight(node, values):
                kept.append(node)
                continue
            step = self.step(node)
            axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
            wide = (values.astype(np.float64) - _along(step.zero, values, axis)) * _along(
                step.scale, values, axis
            )
            self.constants[node.output[0]] = wide.astype(np.float32)
        self.nodes = kept

    def _is_weight(self, node: Any, values: Array) -> bool:
        readers = self.consumers(node.output[0])
        return (
            values.dtype == np.int8
            and not self.step(node).zero.any()
            and bool(readers)
            and all(
                one.op_type in _WEIGHTED and list(one.input).index(node.output[0]) == 1
                for one in readers
            )
        )

    def replace_steps(self) -> None:
        """Each pair over an activation: symmetric int8 where that pays, else its range alone."""
        steps = {node.output[0]: node for node in self.nodes if node.op_type == _PAIR[0]}
        made = []
        for node in self.nodes:
            if node.op_type == _PAIR[0]:
                self._check_pairs(node)
            elif node.op_type == _PAIR[1] and node.input[0] not in self.constants:
                first = steps.get(node.input[0])
                made += self._pixels(node) if first is None else self._activation(first, node)
            else:
                made.append(node)
                if node.op_type == "Relu" or (
                    node.op_type in _KEEP_SIGN and node.input[0] in self.positive
                ):
                    self.positive.add(node.output[0])
        self.nodes = made

    def _check_pairs(self, node: Any) -> None:
        readers = self.consumers(node.output[0])
        if any(one.op_type != _PAIR[1] for one in readers):
            raise self._unfit(node, "integers are read by more than a DequantizeLinear")

    def _activation(self, first: Any, second: Any) -> list[Any]:
        low, high = self.step(second).range
        source, target = first.input[0], second.output[0]
        if low >= 0:
            self.positive.add(target)
        if not self._pays(target):
            return [self._clip(source, target, low, high)]
        step = np.float32(self.kept * max(-low, high) / 127)
        if low < 0 or source in self.positive:
            return self._pair(source, target, step)
        bounded = f"{target}_relu"
        return [_node("Relu", [source], bounded), *self._pair(bounded, target, step)]

    def _pixels(self, node: Any) -> list[Any]:
        """(x - zero) * scale of pixels; with zero point 128 int8 holds that exactly."""
        step, target = self.step(node), node.output[0]
        if step.zero.dtype != np.uint8 or step.zero.size != 1:
            raise self._unfit(node, "integers that no QuantizeLinear made are not uint8 pixels")
        low, high = step.range
        zero, scale = step.zero.astype(np.float32), step.scale.astype(np.float32)
        self.constants |= {f"{target}_zero": zero, f"{target}_scale": scale}
        centred, scaled = f"{target}_centred", f"{target}_scaled"
        lossless = bool((zero == 128).all())
        made = [
            _node("Sub", [node.input[0], f"{target}_zero"], centred),
            _node("Mul", [centred, f"{target}_scale"], scaled),
        ]
        return made + self._pair(
            scaled, target, scale if lossless else np.float32(max(-low, high) / 127)
        )

    def _pays(self, tensor: str) -> bool:
        """Whether integers are multiplied next; TensorRT fuses sums and what follows them."""
        return any(node.op_type in _WEIGHTED for node in self.consumers(tensor))

    def _pair(self, source: str, target: str, step: Any) -> list[Any]:
        scale, zero, whole = f"{target}_step", f"{target}_no_offset", f"{target}_int8"
        self.constants |= {scale: np.asarray(step, np.float32), zero: np.zeros((), np.int8)}
        return [
            _node(_PAIR[0], [source, scale, zero], whole),
            _node(_PAIR[1], [whole, scale, zero], target),
        ]

    def _clip(self, source: str, target: str, low: float, high: float) -> Any:
        self.constants[f"{target}_low"] = np.asarray(low, np.float32)
        self.constants[f"{target}_high"] = np.asarray(high, np.float32)
        return _node("Clip", [source, f"{target}_low", f"{target}_high"], target)

    def cast_pixels(self) -> None:
        """Cast uint8 inputs to float before anything else reads them."""
        from onnx import TensorProto

        for item in self.model.graph.input:
            if item.type.tensor_type.elem_type != TensorProto.UINT8:
                continue
            wide = f"{item.name}_float"
            for node in self.consumers(item.name):
                for place, name in enumerate(node.input):
                    if name == item.name:
                        node.input[place] = wide
            self.nodes.insert(0, _node("Cast", [item.name], wide, to=TensorProto.FLOAT))

    def finish(self) -> Any:
        """The model, checked. Raises EngineError."""
        import onnx
        from onnx import numpy_helper

        graph = self.model.graph
        read = {name for node in self.nodes for name in node.input}
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(
            numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
            if name in read
        )
        try:
            onnx.checker.check_model(self.model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise EngineError(
                f"the rewritten network is not sound: {str(error).splitlines()[0][:200]}",
                hint="Quantize the float network with `hawkvision quantize --for tensorrt`.",
            ) from error
        return self.model


def _node(operator: str, inputs: Iterable[str], output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, list(inputs), [output], name=output, **attributes)


def _along(parameter: Array, values: Array, axis: int) -> Array:
    """A scale or zero point, shaped to meet `values` along `axis`."""
    if parameter.size == 1 or values.ndim == 0:
        return parameter.reshape(()).astype(np.float64)
    shape = [1] * values.ndim
    shape[axis] = -1
    return parameter.reshape(shape).astype(np.float64)
