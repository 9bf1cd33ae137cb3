"""One batch size on one stream: an execution context, its buffers and its CUDA graph.

A graph holds the addresses and the state of the context that it was captured from, so a context
serves one shape only. Source: docs.nvidia.com, TensorRT, "CUDA Graphs" (one context for a graph).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hawkvision.engines.tensorrt.cuda import Cuda
from hawkvision.errors import EngineError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_log = logging.getLogger("hawkvision.engines.tensorrt")
_TYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine; -1 where the batch is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def tensors_of(trt: Any, engine: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs. Raises EngineError for types that numpy does not have."""
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name)
        if kind.name not in _TYPES:
            raise EngineError(
                f"tensorrt: {name!r} is of type {kind.name}",
                hint="Export the model with float32 inputs and outputs.",
            )
        tensor = Tensor(
            name, np.dtype(_TYPES[kind.name]).name, tuple(engine.get_tensor_shape(name))
        )
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        found[0 if is_input else 1].append(tensor)
    return found


@dataclass
class _Buffer:
    """A tensor's memory on both sides."""

    address: int
    pinned: Array
    values: Array


@dataclass(frozen=True)
class Place:
    """Where a lane runs: on which stream, in which scratch memory of the device."""

    stream: int
    scratch: int
    scratch_size: int


class Lane:
    """Not to be used from two threads at once."""

    def __init__(
        self, trt: Any, cuda: Cuda, engine: Any, profile: int, batch: int, place: Place
    ) -> None:
        """Make ready for batches of `batch` images. Raises EngineError."""
        self.batch = batch
        self._cuda, self._stream = cuda, place.stream
        self._buffers: dict[str, _Buffer] = {}
        self._graph: int | None = None
        self._capturable = True
        self._context = _context(trt, engine, place)
        try:
            self._prepare(*tensors_of(trt, engine), profile)
        except BaseException:
            self.close()
            raise

    def _prepare(self, inputs: list[Tensor], outputs: list[Tensor], profile: int) -> None:
        context = self._context
        if profile:  # 0 is chosen from the start
            _check(context.set_optimization_profile_async(profile, self._stream), "its profile")
            self._cuda.wait(self._stream)
        (image,) = inputs
        shape = (self.batch, *image.shape[1:])
        _check(context.set_input_shape(image.name, shape), f"the shape {shape}")
        self._image = image.name
        self._outputs = [one.name for one in outputs]
        for one in (image, *outputs):
            settled = tuple(context.get_tensor_shape(one.name))
            if min(settled, default=1) < 0:
                raise EngineError(
                    f"tensorrt: the shape of {one.name!r} depends on the image: {settled}",
                    hint="--engine onnx runs such files.",
                )
            buffer = self._buffers[one.name] = self._buffer(settled, np.dtype(one.dtype))
            address = buffer.address
            buffer.values = self._by_image(one.name, buffer.values)
            _check(context.set_tensor_address(one.name, address), f"an address of {one.name!r}")

    def _buffer(self, shape: tuple[int, ...], dtype: Any) -> _Buffer:
        size = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        address = self._cuda.allocate(size)
        try:
            pinned = self._cuda.pin(size)
        except BaseException:
            self._cuda.free(address)
            raise
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return _Buffer(address, pinned, pinned[:count].view(dtype).reshape(shape))

    def _by_image(self, name: str, values: Array) -> Array:
        """With a row for each image, also of a file that leaves N out. Raises EngineError."""
        if values.ndim and len(values) == self.batch:
            return values
        if values.size == 0 or values.size % self.batch:
            raise EngineError(
                f"tensorrt: {name!r} is {list(values.shape)}, no numbers for {self.batch} images",
                hint="Name another output in task.toml, or export the model again.",
            )
        return values.reshape(self.batch, -1)

    def run(self, images: Array) -> dict[str, Array]:
        """At most `batch` images to copies of the outputs, of as many rows. Raises EngineError."""
        count = len(images)
        values = self._buffers[self._image].values
        np.copyto(values[:count], images, casting="same_kind")
        values[count:] = values[count - 1]  # nothing of an earlier call is computed again
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._queue()
        self._cuda.wait(self._stream)
        found = {name: np.array(self._buffers[name].values[:count]) for name in self._outputs}
        if self._graph is None and self._capturable:
            self._record()
        return found

    def _queue(self) -> None:
        image = self._buffers[self._image]
        self._cuda.upload(image.address, image.pinned, self._stream)
        _check(self._context.execute_async_v3(self._stream), "the batch")
        for name in self._outputs:
            out = self._buffers[name]
            self._cuda.download(out.pinned, out.address, self._stream)

    def _record(self) -> None:
        """Capture the graph, once, after a run that has warmed the context up."""
        self._capturable = False
        failure: EngineError | None = None
        try:
            self._cuda.begin_capture(self._stream)
            try:
                self._queue()
            except EngineError as error:
                failure = error
            graph = self._cuda.end_capture(self._stream)
            if failure is None:
                self._graph = graph
            else:
                self._cuda.drop_graph(graph)
        except EngineError as error:
            failure = failure or error
        if failure is not None:
            _log.info("tensorrt: no CUDA graph for %d images: %s", self.batch, failure.message)

    def close(self) -> None:
        """Give everything back; nothing of it may be running."""
        if self._graph is not None:
            self._cuda.drop_graph(self._graph)
            self._graph = None
        self._context = None
        for buffer in self._buffers.values():
            self._cuda.free(buffer.address)
            self._cuda.unpin(buffer.pinned)
        self._buffers = {}


def _context(trt: Any, engine: Any, place: Place) -> Any:
    """A context in scratch memory that lanes of one stream share."""
    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None:
        raise EngineError(
            "tensorrt: no execution context; the GPU's memory may be full",
            hint="Give the service fewer threads, or fewer tasks.",
        )
    context.set_device_memory(place.scratch, place.scratch_size)
    return context


def _check(done: bool, what: str) -> None:
    if not done:
        raise EngineError(f"tensorrt: TensorRT does not take {what}; its message is in the log")
