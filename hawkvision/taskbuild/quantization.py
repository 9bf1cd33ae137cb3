"""Static int8 quantization of ONNX networks, and what it changes.

QDQ format, weights signed 8 bit per channel, activations 8 bit (unsigned for CPUs, symmetric for
TensorRT), ranges from labelled images as they will be served. Source: onnxruntime.ai, "Quantize
ONNX Models".
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hawkvision.engines import check_onnx_runtime
from hawkvision.errors import EngineError
from hawkvision.taskbuild.symmetric import symmetric

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

Target = Literal["cpu", "tensorrt"]
Inputs = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]


def quantize(model: Path, out: Path, inputs: Iterable[Inputs], target: Target = "cpu") -> None:
    """Write an int8 copy of a float network to `out`.

    `inputs` are single network inputs float32 [1,C,H,W] or [1,H,W,C], some hundred; `target` says
    who shall run it (see `symmetric`). Raises EngineError where ONNX Runtime or the extra
    `quantize` is missing, or the network cannot be quantized.
    """
    check_onnx_runtime()
    try:
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quantize_static,
        )
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise EngineError(
            f"quantizing needs the module {error.name}, which is not installed",
            hint="pip install 'hawkvision[quantize]'.",
        ) from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Feeds one input at a time."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._inputs: Iterator[Inputs] = iter(inputs)

        def get_next(self) -> dict[str, Inputs] | None:
            """The next input, or None at the end."""
            x = next(self._inputs, None)
            return None if x is None else {self._name: x}

    name = onnx.load(model, load_external_data=False).graph.input[0].name
    with tempfile.TemporaryDirectory() as scratch:
        whole, prepared = Path(scratch) / "whole.onnx", Path(scratch) / "prepared.onnx"
        try:
            onnx.save(onnx.load(model), whole)  # with the weights that lie beside it
            quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(out),
                Reader(name),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
        except Exception as error:  # the quantizer raises many kinds
            raise EngineError(
                f"{model.name} cannot be quantized: {str(error).splitlines()[0][:200]}",
                hint="Opset 13 or newer and static shapes are needed.",
            ) from error
    if target == "tensorrt":
        onnx.save(symmetric(onnx.load(out)), out)


@dataclass(frozen=True, slots=True)
class Changes:
    """What int8 changes on held-out images; shares of them.

    `rerouted` gives, for each threshold, the share of images that are answered at the edge by one
    of the two networks and escalated by the other, each with its own temperature.
    """

    images: int
    accuracy_before: float
    accuracy_after: float
    same_label: float
    mean_confidence_change: float
    rerouted: dict[str, float]
    mean_rerouted: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Answers:
    """One network's losses and calibrated confidences [N], and what it answers as JSON text."""

    loss: Floats
    confidence: Floats
    said: tuple[str, ...]


def compare(before: Answers, after: Answers) -> Changes:
    """Compare the answers of the float and of the int8 network to the same images."""
    confident, also = before.confidence, after.confidence
    rerouted = {
        f"{threshold:g}": float(((confident >= threshold) != (also >= threshold)).mean())
        for threshold in THRESHOLDS
    }
    same = [one == other for one, other in zip(before.said, after.said, strict=True)]
    return Changes(
        images=len(same),
        accuracy_before=1 - float(before.loss.mean()),
        accuracy_after=1 - float(after.loss.mean()),
        same_label=float(np.mean(same)),
        mean_confidence_change=float(np.abs(confident - also).mean()),
        rerouted=rerouted,
        mean_rerouted=float(np.mean(list(rerouted.values()))),
    )
