"""ONNX Runtime: TensorRT, then CUDA, then the CPU, whichever is present."""

from __future__ import annotations

from typing import Any

import numpy as np

from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.engines.runtime import onnx_runtime
from hawkvision.errors import EngineError
from hawkvision.tasks.base import Outputs

_PREFERENCE = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
_DEVICES = {
    "TensorrtExecutionProvider": "tensorrt",
    "CUDAExecutionProvider": "cuda",
    "CPUExecutionProvider": "cpu",
}


def choose_providers(present: list[str]) -> list[str]:
    """The providers to try, best first, of those that this ONNX Runtime was built with."""
    return [provider for provider in _PREFERENCE if provider in present]


class OnnxEngine:
    """One ONNX Runtime session, by choice without rewriting the graph.

    Source: onnxruntime.ai, `InferenceSession`.
    """

    def __init__(self, spec: ModelSpec, *, threads: int = 1, optimise: bool = True) -> None:
        ort = onnx_runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = ort.InferenceSession(
                str(spec.path), options, providers=choose_providers(ort.get_available_providers())
            )
        except Exception as error:  # ONNX Runtime raises its own, unexported, types
            raise EngineError(
                f"ONNX Runtime cannot load {spec.path.name}: {str(error).splitlines()[0]}",
                hint="Check the file with `hawkvision models verify`.",
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) < 1 or len(inputs[0].shape) != 4:
            raise EngineError(
                f"{spec.path.name} takes no image: "
                f"{len(inputs)} inputs of shapes {[i.shape for i in inputs]}",
                hint="One input [N,C,H,W] or [N,H,W,C] and an output [N,…] are expected.",
            )
        self._spec = spec
        self._nhwc = spec.layout == "NHWC"
        self._input: str = inputs[0].name
        present = [output.name for output in outputs]
        self._outputs: list[str] = list(spec.outputs) or present[:1]
        if missing := sorted(set(self._outputs) - set(present)):
            raise EngineError(
                f"{spec.path.name} has no output {missing[0]!r}",
                hint=f"Its outputs: {', '.join(present)}.",
            )
        fixed = inputs[0].shape[0]
        self._fixed_batch: int | None = fixed if isinstance(fixed, int) and fixed > 0 else None
        self._metadata = self._describe(inputs[0].shape, str(ort.__version__))

    def _describe(self, input_shape: list[Any], version: str) -> EngineMetadata:
        sides = [side if isinstance(side, int) else -1 for side in input_shape[1:]]
        chw = (sides[2], sides[0], sides[1]) if self._nhwc else (sides[0], sides[1], sides[2])
        provider = self._session.get_providers()[0]
        return EngineMetadata(
            input_shape=chw,
            dtype=self._spec.dtype,
            device=_DEVICES.get(provider, provider),
            precision=self._spec.precision,
            platform="onnxruntime_onnx",
            version=version,
            max_batch=self._fixed_batch or 0,
        )

    @property
    def metadata(self) -> EngineMetadata:
        """Shapes, device and precision."""
        return self._metadata

    def infer(self, batch: Batch) -> Outputs:
        """Run uint8 or float32 [N,C,H,W] to outputs float32 [N,…]; see `Engine.infer`."""
        if self._spec.channels == "BGR":
            batch = batch[:, ::-1]
        x = batch.transpose(0, 2, 3, 1) if self._nhwc else batch
        if self._spec.dtype != "uint8" and x.dtype == np.uint8:
            x = self._normalise(x)
        if self._fixed_batch is not None and self._fixed_batch != len(x):
            parts = [self._run(part) for part in self._parts(x)]
            return {
                name: np.concatenate([part[name] for part in parts])[: len(x)]
                for name in self._outputs
            }
        return self._run(x)

    def _run(self, x: Batch) -> Outputs:
        if self._spec.dtype in ("float16", "float64"):
            with np.errstate(over="ignore"):  # beyond float16 is infinity, and the answer NaN
                x = x.astype(self._spec.dtype)
        try:
            found = self._session.run(self._outputs, {self._input: np.ascontiguousarray(x)})
        except Exception as error:  # ONNX Runtime raises its own, unexported, types
            raise EngineError(
                f"inference failed: {str(error).splitlines()[0]}",
                hint=f"The model's input is {self._metadata.input_shape} (C,H,W), "
                f"{self._metadata.dtype}.",
            ) from error
        return {
            name: self._rows(name, out, len(x))
            for name, out in zip(self._outputs, found, strict=True)
        }

    def _rows(self, name: str, out: Any, count: int) -> Any:
        """An output as float32 [N,…], also of a file that leaves N out. Raises EngineError."""
        if not isinstance(out, np.ndarray) or out.size == 0 or out.size % count:
            shape = out.shape if isinstance(out, np.ndarray) else type(out).__name__
            raise EngineError(
                f"output {name!r} of {self._spec.path.name} is {shape}, no numbers for {count} "
                "images",
                hint="Name another output in task.toml, or export the model again.",
            )
        if out.ndim == 0 or len(out) != count:
            out = out.reshape(count, -1)
        return out.astype(np.float32, copy=False)

    def _parts(self, x: Batch) -> list[Batch]:
        """Split into the fixed batch size, the last part padded by repetition."""
        assert self._fixed_batch is not None
        size = self._fixed_batch
        parts = [x[start : start + size] for start in range(0, len(x), size)]
        missing = size - len(parts[-1])
        parts[-1] = np.concatenate([parts[-1], np.repeat(parts[-1][-1:], missing, axis=0)])
        return parts

    def _normalise(self, x: Batch) -> Batch:
        shape = (1, 1, 1, -1) if self._nhwc else (1, -1, 1, 1)
        mean = np.asarray(self._spec.mean, np.float32).reshape(shape)
        inverse = (1 / np.asarray(self._spec.std, np.float32)).reshape(shape)
        return np.asarray((x.astype(np.float32) - mean) * inverse, np.float32)

    def close(self) -> None:
        """Free the session."""
        self._session = None


def open_onnx(spec: ModelSpec, *, threads: int = 1) -> OnnxEngine:
    """The entry point `onnx` of `hawkvision.engines`."""
    return OnnxEngine(spec, threads=threads)
