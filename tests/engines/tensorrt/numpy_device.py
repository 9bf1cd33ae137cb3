"""A GPU of numpy behind the functions of CUDA's runtime: it fails where a real one would.

Nothing that is queued happens before its stream is waited for; until then a download's target
holds garbage. Freed memory, memory that nothing was written to, host memory that is not
page-locked, a stream that is gone: each is an error, and an illegal access breaks the device for
good, as on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

GARBAGE = 0xA5


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901
    cudaErrorNoDevice = 100


E = cudaError_t


class Fault(Exception):
    """An access that a GPU would not survive."""


@dataclass
class Op:
    """Something queued: `submit` happens at once, `execute` when the stream gets there."""

    execute: Callable[[], None]
    submit: Callable[[], None] = lambda: None
    held: Any = None


@dataclass
class _Capture:
    thread: int
    ops: list[Op] = field(default_factory=list)
    broken: bool = False


class NumpyDevice:
    """What a process sees of `cuda.bindings.runtime`; `limit` are the bytes that it has."""

    cudaDeviceScheduleBlockingSync = 4
    cudaStreamNonBlocking = 1
    cudaHostAllocDefault = 0
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, limit: int = 1 << 28, count: int = 1) -> None:
        self.limit, self.count = limit, count
        self.name = b"Numpy Orin"
        self.lock = threading.RLock()
        self.memory: dict[int, np.ndarray] = {}
        self.written: set[int] = set()
        self.pinned: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Op]] = {}
        self.captures: dict[int, _Capture] = {}
        self.graphs: dict[int, list[Op]] = {}
        self.broken = E.cudaSuccess
        self.launches = 0
        self.copies = 0
        self._next = 0x7F00_0000_0000

    # What the tests ask

    def nothing_left(self) -> bool:
        """Whether all that was taken was given back."""
        return not (self.memory or self.pinned or self.streams or self.graphs)

    def view(self, address: int, size: int) -> np.ndarray:
        """Device memory, for a kernel. Raises Fault for what was not allocated or not written."""
        block = self.memory.get(address)
        if block is None or len(block) < size:
            raise Fault(f"no {size} bytes at {address:#x}")
        return block[:size]

    def enqueue(self, stream: int, op: Op) -> cudaError_t:
        """Queue, or record while the stream is captured."""
        with self.lock:
            if self.broken:
                return self.broken
            if stream not in self.streams:
                return E.cudaErrorInvalidResourceHandle
            capture = self.captures.get(stream)
            if capture is not None:
                capture.ops.append(op)
                return E.cudaSuccess
            op.submit()
            self.streams[stream].append(op)
            return E.cudaSuccess

    def capturing(self, stream: int) -> bool:
        return stream in self.captures

    # CUDA's runtime API

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        return (E.cudaSuccess, self.count) if self.count else (E.cudaErrorNoDevice, None)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]:
        return E.cudaSuccess, SimpleNamespace(name=self.name, major=8, minor=7)

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return E.cudaSuccess, 13020

    def cudaSetDeviceFlags(self, flags: int) -> tuple[Any, ...]:
        return (E.cudaSuccess,)

    def cudaGetLastError(self) -> tuple[Any, ...]:
        return (self.broken,)

    def cudaGetErrorString(self, error: cudaError_t) -> tuple[Any, ...]:
        return E.cudaSuccess, error.name.encode()

    def _address(self, size: int) -> int:
        self._next += (size + 511) // 256 * 256
        return self._next - (size + 255) // 256 * 256

    def _forbidden(self) -> bool:
        """Whether this thread captures: what it must not call then breaks the capture."""
        mine = [one for one in self.captures.values() if one.thread == threading.get_ident()]
        for one in mine:
            one.broken = True
        return bool(mine)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        with self.lock:
            if self.broken:
                return self.broken, None
            if self._forbidden():
                return E.cudaErrorStreamCaptureUnsupported, None
            if sum(map(len, self.memory.values())) + size > self.limit:
                return E.cudaErrorMemoryAllocation, None
            address = self._address(size)
            self.memory[address] = np.full(size, GARBAGE, np.uint8)
            return E.cudaSuccess, address

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        with self.lock:
            if self.memory.pop(address, None) is None:
                return (E.cudaErrorInvalidValue,)
            self.written.discard(address)
            return (E.cudaSuccess,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        with self.lock:
            if self._forbidden():
                return E.cudaErrorStreamCaptureUnsupported, None
            memory = np.full(size, GARBAGE, np.uint8)
            self.pinned[memory.ctypes.data] = memory
            return E.cudaSuccess, memory.ctypes.data

    def cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        with self.lock:
            found = self.pinned.pop(address, None)
            return (E.cudaErrorInvalidValue if found is None else E.cudaSuccess,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        with self.lock:
            stream = self._address(1)
            self.streams[stream] = []
            return E.cudaSuccess, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        with self.lock:
            if self.streams.pop(stream, None) is None:
                return (E.cudaErrorInvalidResourceHandle,)
            return (E.cudaSuccess,)

    def cudaMemcpyAsync(
        self, target: int, source: int, count: int, kind: int, stream: int
    ) -> tuple[Any, ...]:
        up = kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice
        host, device = (source, target) if up else (target, source)
        if not self._is_pinned(host, count):
            return (E.cudaErrorInvalidValue,)  # CUDA would block instead, and not overlap

        def copy() -> None:
            block = self.view(device, count)
            if not self._is_pinned(host, count):
                raise Fault("a copy of host memory that is gone")
            if up:
                ctypes.memmove(block.ctypes.data, host, count)
                self.written.add(device)
            else:
                if device not in self.written:
                    raise Fault("a download of what nothing was written to")
                ctypes.memmove(host, block.ctypes.data, count)
            self.copies += 1

        def spoil() -> None:
            if not up:
                ctypes.memset(host, GARBAGE, count)

        return (self.enqueue(stream, Op(copy, spoil)),)

    def _is_pinned(self, address: int, count: int) -> bool:
        with self.lock:
            return any(
                start <= address and address + count <= start + len(memory)
                for start, memory in self.pinned.items()
            )

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        with self.lock:
            if self.broken:
                return (self.broken,)
            if stream not in self.streams:
                return (E.cudaErrorInvalidResourceHandle,)
            if stream in self.captures:
                self.captures[stream].broken = True
                return (E.cudaErrorStreamCaptureUnsupported,)
            queue, self.streams[stream] = self.streams[stream], []
        for op in queue:
            try:
                op.execute()
            except Fault:
                self.broken = E.cudaErrorIllegalAddress
                return (self.broken,)
        return (E.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Any, ...]:
        with self.lock:
            if stream in self.captures or stream not in self.streams:
                return (E.cudaErrorInvalidValue,)
            self.captures[stream] = _Capture(threading.get_ident())
            return (E.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        with self.lock:
            capture = self.captures.pop(stream)
            if capture.broken:
                return E.cudaErrorStreamCaptureInvalidated, None
            graph = self._address(1)
            self.graphs[graph] = capture.ops
            return E.cudaSuccess, graph

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Any, ...]:
        with self.lock:
            ready = self._address(1)
            self.graphs[ready] = list(self.graphs[graph])
            return E.cudaSuccess, ready

    def cudaGraphDestroy(self, graph: int) -> tuple[Any, ...]:
        return self.cudaGraphExecDestroy(graph)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[Any, ...]:
        with self.lock:
            found = self.graphs.pop(graph, None)
            return (E.cudaErrorInvalidResourceHandle if found is None else E.cudaSuccess,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[Any, ...]:
        with self.lock:
            if graph not in self.graphs:
                return (E.cudaErrorInvalidResourceHandle,)
            self.launches += 1
            for op in self.graphs[graph]:
                error = self.enqueue(stream, op)
                if error:
                    return (error,)
            return (E.cudaSuccess,)
