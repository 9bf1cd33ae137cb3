"""TensorRT's Python module as far as we call it, over a numpy device: ONNX Runtime computes.

`FakeTensorRT(device, "10.16.2")` and `"11.4.0"` differ as NVIDIA's do: 11 has no flag for strongly
typed networks. Objects check what the real ones check, and some things that those only document.
"""

from __future__ import annotations

import enum
import json
import struct
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from tests.engines.tensorrt.numpy_device import Fault, NumpyDevice, Op


class DataType(enum.Enum):
    FLOAT = "tensor(float)"
    HALF = "tensor(float16)"
    INT64 = "tensor(int64)"
    INT32 = "tensor(int32)"
    BOOL = "tensor(bool)"
    UINT8 = "tensor(uint8)"
    BF16 = "tensor(bfloat16)"


_NUMPY = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT64: np.int64,
    DataType.INT32: np.int32,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
}
SCRATCH = 4096


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class Strategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class _Logger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class _Monitor:
    pass


def _dims(shape: list[Any]) -> tuple[int, ...]:
    return tuple(side if isinstance(side, int) else -1 for side in shape)


class _Model:
    """An ONNX file, computed on the CPU."""

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.data = data
        self.run = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        self.inputs = {one.name: one for one in self.run.get_inputs()}
        self.outputs = {one.name: one for one in self.run.get_outputs()}

    def kind(self, name: str) -> DataType:
        return DataType((self.inputs.get(name) or self.outputs[name]).type)


class _Network:
    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.model: _Model | None = None

    @property
    def num_inputs(self) -> int:
        assert self.model is not None
        return len(self.model.inputs)

    def get_input(self, index: int) -> Any:
        assert self.model is not None
        one = list(self.model.inputs.values())[index]
        return SimpleNamespace(name=one.name, shape=_dims(one.shape))


class _Parser:
    def __init__(self, network: _Network, logger: Any) -> None:
        self._network = network
        self._errors: list[str] = []

    def parse_from_file(self, path: str) -> bool:
        try:
            self._network.model = _Model(Path(path).read_bytes())
        except Exception as error:
            self._errors.append(str(error))
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: self._errors[index])


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, name: str, low: Any, best: Any, high: Any) -> None:
        if not (low[0] <= best[0] <= high[0]):
            raise ValueError("min, opt, max")
        self.shapes[name] = [tuple(low), tuple(best), tuple(high)]


class _Config:
    builder_optimization_level = 3
    progress_monitor: Any = None

    def __init__(self) -> None:
        self.flags = {"TF32"}
        self.profiles: list[_Profile] = []
        self._cache: Any = None

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def create_timing_cache(self, data: bytes) -> Any:
        if data and not data.startswith(b"timings"):
            return None
        return SimpleNamespace(serialize=lambda: (data or b"timings") + b".")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class FakeTensorRT:
    """The module `tensorrt`; `builds` counts them."""

    ILogger = _Logger
    IProgressMonitor = _Monitor
    DataType = DataType
    TensorIOMode = TensorIOMode
    ExecutionContextAllocationStrategy = Strategy
    OnnxParser = _Parser
    BuilderFlag = SimpleNamespace(TF32="TF32")

    def __init__(self, device: NumpyDevice, version: str = "10.16.2.10") -> None:
        self.__version__ = version
        self.device = device
        self.builds = 0
        self.capturable = True
        self.NetworkDefinitionCreationFlag = SimpleNamespace(
            **({"STRONGLY_TYPED": 1} if version.startswith("10.") else {})
        )

    def Builder(self, logger: Any) -> Any:  # noqa: N802 - as NVIDIA names it
        return _Builder(self, logger)

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            deserialize_cuda_engine=lambda plan: _load(self, logger, bytes(plan))
        )


class _Builder:
    def __init__(self, trt: FakeTensorRT, logger: Any) -> None:
        self._trt, self.logger = trt, logger

    def create_network(self, flags: int = 0) -> _Network:
        strongly = self._trt.__version__.startswith("10.")
        assert flags == (2 if strongly else 0), "weakly typed networks are not what was certified"
        return _Network(self)

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        model = network.model
        assert model is not None and not config.flags, "TF32 rounds what the file does not"
        free = [name for name, one in model.inputs.items() if -1 in _dims(one.shape)]
        if free and not config.profiles:
            self.logger.log(_Logger.ERROR, "no optimization profile has been defined")
            return None
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("Building engine", None, 2)
            assert config.progress_monitor.step_complete("Building engine", 0)
            config.progress_monitor.phase_finish("Building engine")
        self._trt.builds += 1
        head = json.dumps(
            {
                "version": self._trt.__version__,
                "profiles": [profile.shapes for profile in config.profiles],
            }
        ).encode()
        return struct.pack("<I", len(head)) + head + model.data


def _load(trt: FakeTensorRT, logger: Any, plan: bytes) -> Any:
    size = struct.unpack("<I", plan[:4])[0]
    head = json.loads(plan[4 : 4 + size])
    if head["version"] != trt.__version__:
        logger.log(_Logger.ERROR, "The engine plan file is not compatible with this version")
        return None
    return _Engine(trt, logger, _Model(plan[4 + size :]), head["profiles"])


class _Engine:
    device_memory_size_v2 = SCRATCH

    def __init__(self, trt: FakeTensorRT, logger: Any, model: _Model, profiles: list[Any]) -> None:
        self.trt, self.logger, self.model, self.profiles = trt, logger, model, profiles
        self._names = [*model.inputs, *model.outputs]

    @property
    def num_io_tensors(self) -> int:
        return len(self._names)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self.profiles))

    def get_tensor_name(self, index: int) -> str:
        return str(self._names[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.model.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.model.kind(name)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return _dims((self.model.inputs.get(name) or self.model.outputs[name]).shape)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.profiles[profile][name]]

    def create_execution_context(self, strategy: Strategy) -> _Context:
        assert strategy == Strategy.USER_MANAGED
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine, self._device = engine, engine.trt.device
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self._warm = False
        self._stream: int | None = None

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= SCRATCH
        self._scratch = memory

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._profile, self._shapes = index, {}
        return index < len(self._engine.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if self._engine.profiles:
            low, _, high = self._engine.get_tensor_profile_shape(name, self._profile)
            if not low[0] <= shape[0] <= high[0]:
                return False
        elif shape != self._engine.get_tensor_shape(name):
            return False
        model = self._engine.model
        zeros: Any = np.zeros(shape, _NUMPY[model.kind(name)])
        found = model.run.run(None, {name: zeros})
        self._shapes = {name: shape}
        for one, out in zip(model.outputs, found, strict=True):
            free = [side for side in _dims(model.outputs[one].shape)[1:] if side == -1]
            self._shapes[one] = (shape[0], -1) if free else out.shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address % 256 == 0

    def execute_async_v3(self, stream: int) -> bool:
        device = self._device
        if device.capturing(stream) and not (self._warm and self._engine.trt.capturable):
            self._engine.logger.log(_Logger.ERROR, "cannot be captured")
            return False
        if set(self._addresses) != set(self._shapes) or not self._scratch:
            self._engine.logger.log(_Logger.ERROR, "not all addresses are set")
            return False
        self._warm = True
        assert self._stream in (None, stream), "a context of one stream was run on another"
        self._stream = stream
        own = weakref.ref(self)
        return not device.enqueue(stream, Op(lambda: _execute(own)))


def _execute(reference: weakref.ref[_Context]) -> None:
    """The kernels."""
    context = reference()
    if context is None:
        raise Fault("a context that is gone")
    device, model = context._device, context._engine.model
    device.view(context._scratch, SCRATCH)
    feeds = {}
    for name in model.inputs:
        address, shape = context._addresses[name], context._shapes[name]
        dtype = np.dtype(_NUMPY[model.kind(name)])
        if address not in device.written:
            raise Fault("an input that nothing was written to")
        size = int(np.prod(shape)) * dtype.itemsize
        feeds[name] = device.view(address, size).view(dtype).reshape(shape)
    for name, out in zip(model.outputs, model.run.run(None, feeds), strict=True):
        target = device.view(context._addresses[name], out.nbytes)
        target[:] = np.ascontiguousarray(out).reshape(-1).view(np.uint8)
        device.written.add(context._addresses[name])
