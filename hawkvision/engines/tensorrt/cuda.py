"""The little of CUDA that an engine needs, and NVIDIA's cuda-bindings behind it.

`Cuda` is so small that a device of numpy can stand in for it in tests. Addresses, streams and
graphs are whole numbers, as TensorRT takes them; host memory is numpy's.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hawkvision.errors import EngineError

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

INSTALL = "pip install cuda-bindings, of the major version of CUDA that the driver has."


@dataclass(frozen=True)
class Device:
    """A GPU as far as an engine depends on it; `driver` as CUDA numbers it, e.g. 13020."""

    name: str
    capability: str
    driver: int


class Cuda(Protocol):
    """One device. Every method may be called from any thread; all raise EngineError.

    What is queued on a stream happens in order, at some time before `wait` returns. Host memory of
    `upload` and `download` comes from `pin` and must not be touched until then.
    """

    def device(self) -> Device:
        """What it is."""
        ...

    def allocate(self, size: int) -> int:
        """The address of `size` bytes of the device."""
        ...

    def free(self, address: int) -> None:
        """Give them back; nothing queued may use them any more."""
        ...

    def pin(self, size: int) -> Bytes:
        """Page-locked host memory, uint8 [size]."""
        ...

    def unpin(self, memory: Bytes) -> None:
        """Give it back."""
        ...

    def open_stream(self) -> int:
        """A queue of its own."""
        ...

    def close_stream(self, stream: int) -> None:
        """Give it back."""
        ...

    def upload(self, address: int, source: Bytes, stream: int) -> None:
        """Queue a copy to the device."""
        ...

    def download(self, target: Bytes, address: int, stream: int) -> None:
        """Queue a copy from the device."""
        ...

    def wait(self, stream: int) -> None:
        """Until all that was queued is done; the thread sleeps."""
        ...

    def begin_capture(self, stream: int) -> None:
        """What this thread queues from here on is recorded instead."""
        ...

    def end_capture(self, stream: int) -> int:
        """A graph of what was recorded, ready to launch; also ends a recording that failed."""
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Queue all of a graph at once."""
        ...

    def drop_graph(self, graph: int) -> None:
        """Give it back."""
        ...


class CudaBindings:
    """CUDA's runtime API through cuda-bindings, on the first visible device.

    `CUDA_VISIBLE_DEVICES` chooses another. All calls release Python's lock while they wait.
    """

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime
        self._device = self._look()
        # A waiting thread sleeps: the cores decode images meanwhile.
        self._call("cudaSetDeviceFlags", runtime.cudaDeviceScheduleBlockingSync)

    def _look(self) -> Device:
        try:
            (count,) = self._call("cudaGetDeviceCount")
        except EngineError as error:
            raise EngineError(
                "tensorrt: no GPU can be used: " + error.message,
                hint="`nvidia-smi` says whether the driver is there; a container needs "
                "`--gpus all` (`--runtime nvidia` on a Jetson).",
            ) from error
        if not count:
            raise EngineError("tensorrt: no GPU is visible", hint="See CUDA_VISIBLE_DEVICES.")
        (driver,) = self._call("cudaDriverGetVersion")
        (found,) = self._call("cudaGetDeviceProperties", 0)
        name = found.name
        text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        capability = f"{found.major}.{found.minor}"
        return Device(text.split("\0")[0], capability, int(driver))

    def _call(self, function: str, *arguments: Any) -> Any:
        """What a function of the runtime gives besides its error. Raises EngineError."""
        found = getattr(self._rt, function)(*arguments)
        error = found[0]
        if int(error) != 0:
            self._rt.cudaGetLastError()  # so that it is not reported again of the next call
            text = self._rt.cudaGetErrorString(error)[1]
            said = text.decode() if isinstance(text, bytes) else str(text)
            raise EngineError(f"CUDA: {function}: {said}")
        return found[1:]

    def device(self) -> Device:
        """See `Cuda`."""
        return self._device

    def allocate(self, size: int) -> int:
        """See `Cuda`."""
        return int(self._call("cudaMalloc", size)[0])

    def free(self, address: int) -> None:
        """See `Cuda`."""
        self._call("cudaFree", address)

    def pin(self, size: int) -> Bytes:
        """See `Cuda`."""
        address = int(self._call("cudaHostAlloc", size, self._rt.cudaHostAllocDefault)[0])
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def unpin(self, memory: Bytes) -> None:
        """See `Cuda`."""
        self._call("cudaFreeHost", memory.ctypes.data)

    def open_stream(self) -> int:
        """See `Cuda`."""
        return int(self._call("cudaStreamCreateWithFlags", self._rt.cudaStreamNonBlocking)[0])

    def close_stream(self, stream: int) -> None:
        """See `Cuda`."""
        self._call("cudaStreamDestroy", stream)

    def upload(self, address: int, source: Bytes, stream: int) -> None:
        """See `Cuda`."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: Bytes, address: int, stream: int) -> None:
        """See `Cuda`."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, address, target.nbytes, kind, stream)

    def wait(self, stream: int) -> None:
        """See `Cuda`."""
        self._call("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """See `Cuda`; other threads may allocate meanwhile."""
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        """See `Cuda`."""
        (graph,) = self._call("cudaStreamEndCapture", stream)
        try:
            return int(self._call("cudaGraphInstantiate", graph, 0)[0])
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """See `Cuda`."""
        self._call("cudaGraphLaunch", graph, stream)

    def drop_graph(self, graph: int) -> None:
        """See `Cuda`."""
        self._call("cudaGraphExecDestroy", graph)


def open_cuda() -> Cuda:
    """The first visible GPU. Raises EngineError that says what is missing."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # cuda-python before 12.6
        except ImportError as error:
            raise EngineError(
                f"tensorrt: cuda-bindings is not installed ({error})", hint=INSTALL
            ) from error
    return CudaBindings(runtime)
