"""A built engine at work: as many streams as calls at once, on each a lane for every batch size."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from hawkvision.engines.tensorrt.cuda import Cuda
from hawkvision.engines.tensorrt.lane import Lane, Place, Tensor, tensors_of
from hawkvision.errors import EngineError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_log = logging.getLogger("hawkvision.engines.tensorrt")


class Session:
    """`run` may be called from several threads at once; each has a stream to itself meanwhile.

    `image` is the input, `outputs` are all outputs; `batch` is the file's own batch, None where it
    is free, and `most` the largest batch of one call.
    """

    def __init__(self, trt: Any, cuda: Cuda, logger: Any, plan: bytes) -> None:
        """Load a built engine. Raises EngineError."""
        self._trt, self._cuda, self._logger = trt, cuda, logger
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError("tensorrt: the built engine does not load: " + logger.last_error)
        inputs, self.outputs = tensors_of(trt, self._engine)
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or not self.outputs:
            raise EngineError(
                "tensorrt: no image is taken: inputs %s" % [list(one.shape) for one in inputs],
                hint="One input [N,C,H,W] or [N,H,W,C] and an output [N,…] are expected.",
            )
        self.image: Tensor = inputs[0]
        self.batch = self.image.shape[0] if self.image.shape[0] > 0 else None
        self._sizes = self._batches()
        self.most = max(self._sizes)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._closed = False

    def _batches(self) -> dict[int, int]:
        """Batch sizes that have lanes, powers of two and the profiles' ends, with their profile."""
        if self.batch is not None:
            return {self.batch: 0}
        found: dict[int, int] = {}
        for profile in range(self._engine.num_optimization_profiles):
            least, _, most = self._engine.get_tensor_profile_shape(self.image.name, profile)
            low, high = least[0], most[0]
            sizes = {1 << power for power in range(16)} | {low, high}
            for size in sizes:
                if low <= size <= high:
                    found.setdefault(size, profile)
        return found

    def run(self, images: Array) -> dict[str, Array]:
        """Images [N, …] of the file's layout and type, N ≤ `most`, to all outputs [N, …].

        Raises EngineError.
        """
        wanted = self.image.shape[1:]
        if len(images) < 1 or len(images) > self.most or images.shape[1:] != wanted:
            raise EngineError(
                f"tensorrt: a batch of the shape {list(images.shape)}; "
                f"at most {self.most} of {list(wanted)} are taken"
            )
        if not np.can_cast(images.dtype, np.dtype(self.image.dtype), "same_kind"):
            raise EngineError(
                f"tensorrt: {images.dtype} images for an input of type {self.image.dtype}",
                hint="See `dtype` of the rung in task.toml.",
            )
        size = min(size for size in self._sizes if size >= len(images))
        worker = self._take()
        try:
            found = worker.lane(size, self._sizes[size]).run(images)
        except BaseException:
            worker.close()
            raise
        self._give_back(worker)
        return found

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise EngineError("tensorrt: the engine is closed")
            if self._idle:
                return self._idle.pop()
        return _Worker(self._trt, self._cuda, self._engine)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.close()

    def close(self) -> None:
        """Give the GPU's memory back; calls that run end first, later ones fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


class _Worker:
    """A stream, its scratch memory, and its lanes, made when they are first wanted."""

    def __init__(self, trt: Any, cuda: Cuda, engine: Any) -> None:
        self._trt, self._cuda, self._engine = trt, cuda, engine
        self._lanes: dict[int, Lane] = {}
        size = max(1, int(engine.device_memory_size_v2))
        stream = cuda.open_stream()
        try:
            self._place = Place(stream, cuda.allocate(size), size)
        except BaseException:
            cuda.close_stream(stream)
            raise

    def lane(self, batch: int, profile: int) -> Lane:
        """The lane for batches of `batch` images. Raises EngineError."""
        found = self._lanes.get(batch)
        if found is None:
            found = Lane(self._trt, self._cuda, self._engine, profile, batch, self._place)
            self._lanes[batch] = found
        return found

    def close(self) -> None:
        """Wait for what runs and give everything back; a broken device cannot be asked twice."""
        try:
            try:
                self._cuda.wait(self._place.stream)
            finally:
                for lane in self._lanes.values():
                    lane.close()
                self._lanes = {}
                self._cuda.free(self._place.scratch)
                self._cuda.close_stream(self._place.stream)
        except EngineError as error:
            _log.warning("tensorrt: not everything was given back: %s", error.message)
