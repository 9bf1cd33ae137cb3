"""ONNX Runtime: TensorRT, then CUDA, then the CPU, or the one that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.engines.feeding import (
    check_image_input,
    feed,
    image_shape,
    in_parts,
    padded,
    rows,
    wanted_outputs,
)
from hawkvision.engines.graphs import GraphRuns
from hawkvision.engines.providers import MOST, TENSORRT, Device, Input
from hawkvision.engines.runtime import onnx_runtime
from hawkvision.engines.sessions import Asked, Given, device_of, first_line, open_session
from hawkvision.errors import EngineError
from hawkvision.tasks.base import Outputs


class OnnxEngine:
    """One ONNX Runtime session on the device `given`, by choice without rewriting the graph.

    Source: onnxruntime.ai, `InferenceSession`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        threads: int = 1,
        optimise: bool = True,
        device: Device = "best",
        graphs: bool = False,
    ) -> None:
        """Open `spec`; `best` falls back where a device does not take it. Raises EngineError."""
        ort = onnx_runtime()
        given = open_session(ort, spec, Asked(device, threads, optimise, graphs))
        self._session: Any = given.session
        self.given = device_of(given.provider)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_image_input(spec, [one.shape for one in inputs], len(outputs))
        self._spec = spec
        self._file = spec.path.name
        self.image = Input(inputs[0].name, tuple(inputs[0].shape))
        self._input = self.image.name
        self._outputs = wanted_outputs(spec, [output.name for output in outputs])
        fixed = inputs[0].shape[0]
        self._fixed_batch: int | None = fixed if isinstance(fixed, int) and fixed > 0 else None
        self._graphs = GraphRuns(ort, self._session, self._outputs, "cuda") if graphs else None
        self._metadata = self._describe(inputs[0].shape, str(ort.__version__), given)

    def _describe(self, input_shape: list[Any], version: str, given: Given) -> EngineMetadata:
        most = MOST if given.provider == TENSORRT else 0
        return EngineMetadata(
            input_shape=image_shape(input_shape, self._spec),
            dtype=self._spec.dtype,
            device=self.given,
            precision=self._spec.precision,
            platform="onnxruntime_onnx",
            version=version,
            max_batch=self._fixed_batch or most,
            reason=given.reason,
        )

    @property
    def metadata(self) -> EngineMetadata:
        """Shapes, device and precision."""
        return self._metadata

    def infer(self, batch: Batch) -> Outputs:
        """Run uint8 or float32 [N,C,H,W] to outputs float32 [N,…]; see `Engine.infer`."""
        x = feed(batch, self._spec)
        return in_parts(x, self._metadata.max_batch or len(x), self._run)

    def _run(self, x: Batch) -> Outputs:
        whole: Any = np.ascontiguousarray(padded(x, self._fixed_batch or 0))
        try:
            if self._graphs is not None:
                found = self._graphs.run(whole)
            else:
                found = self._session.run(self._outputs, {self._input: whole})
        except Exception as error:  # ONNX Runtime raises its own, unexported, types
            raise EngineError(
                f"inference failed: {first_line(error)}",
                hint=f"The model's input is {self._metadata.input_shape} (C,H,W), "
                f"{self._metadata.dtype}.",
            ) from error
        return {
            name: rows(out, len(whole), name, self._file)[: len(x)]
            for name, out in zip(self._outputs, found, strict=True)
        }

    def close(self) -> None:
        """Free the session."""
        self._session = self._graphs = None


def open_onnx(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx` of `hawkvision.engines`: the best that takes the file."""
    return OnnxEngine(spec, threads=threads)


def open_cpu(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx-cpu`."""
    return OnnxEngine(spec, threads=threads, device="cpu")


def open_cuda(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx-cuda`; what CUDA's provider leaves, the CPU takes."""
    return OnnxEngine(spec, threads=threads, device="cuda")


def open_cuda_graph(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx-cuda-graph`, for files that CUDA's provider takes whole."""
    return OnnxEngine(spec, threads=threads, device="cuda", graphs=True)


def open_tensorrt(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx-tensorrt`; what TensorRT leaves, CUDA takes, and then the CPU."""
    return OnnxEngine(spec, threads=threads, device="tensorrt")


open_tensorrt.flavour = "tensorrt"  # type: ignore[attr-defined]  # which files of a task it takes
