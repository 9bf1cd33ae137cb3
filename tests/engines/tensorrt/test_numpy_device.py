"""The numpy device fails where a GPU would, so that what passes on it deserves trust."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.engines.tensorrt.cuda import CudaBindings
from hawkvision.errors import EngineError
from tests.engines.tensorrt.numpy_device import GARBAGE, NumpyDevice


@pytest.fixture
def device() -> NumpyDevice:
    return NumpyDevice()


@pytest.fixture
def cuda(device: NumpyDevice) -> CudaBindings:
    return CudaBindings(device)


def test_bytes_come_back_once_the_stream_was_waited_for(cuda: CudaBindings) -> None:
    address, stream = cuda.allocate(4), cuda.open_stream()
    source, target = cuda.pin(4), cuda.pin(4)
    source[:] = [1, 2, 3, 4]
    cuda.upload(address, source, stream)
    cuda.download(target, address, stream)
    assert (target == GARBAGE).all()  # an unsynchronised read
    cuda.wait(stream)
    assert target.tolist() == [1, 2, 3, 4]


def test_what_is_overwritten_before_the_wait_is_what_is_copied(cuda: CudaBindings) -> None:
    address, stream, memory = cuda.allocate(1), cuda.open_stream(), cuda.pin(1)
    memory[0] = 1
    cuda.upload(address, memory, stream)
    memory[0] = 2
    cuda.wait(stream)
    cuda.download(memory, address, stream)
    cuda.wait(stream)
    assert memory[0] == 2


def test_another_stream_does_not_wait_for_this_one(cuda: CudaBindings) -> None:
    address, one, other = cuda.allocate(1), cuda.open_stream(), cuda.open_stream()
    source, target = cuda.pin(1), cuda.pin(1)
    cuda.upload(address, source, one)
    cuda.download(target, address, other)
    with pytest.raises(EngineError, match="IllegalAddress"):
        cuda.wait(other)


def test_freed_memory_breaks_the_device_for_good(cuda: CudaBindings) -> None:
    address, stream, memory = cuda.allocate(1), cuda.open_stream(), cuda.pin(1)
    cuda.upload(address, memory, stream)
    cuda.free(address)
    with pytest.raises(EngineError, match="IllegalAddress"):
        cuda.wait(stream)
    with pytest.raises(EngineError, match="IllegalAddress"):
        cuda.allocate(1)


def test_pageable_memory_and_lost_streams_are_refused(cuda: CudaBindings) -> None:
    address, stream, memory = cuda.allocate(1), cuda.open_stream(), cuda.pin(1)
    with pytest.raises(EngineError, match="cudaMemcpyAsync"):
        cuda.upload(address, np.zeros(1, np.uint8), stream)
    cuda.close_stream(stream)
    with pytest.raises(EngineError, match="InvalidResourceHandle"):
        cuda.upload(address, memory, stream)


def test_allocating_while_capturing_breaks_the_capture(cuda: CudaBindings) -> None:
    stream = cuda.open_stream()
    cuda.begin_capture(stream)
    with pytest.raises(EngineError, match="CaptureUnsupported"):
        cuda.allocate(1)
    with pytest.raises(EngineError, match="CaptureInvalidated"):
        cuda.end_capture(stream)


def test_a_graph_does_all_of_it_again(cuda: CudaBindings) -> None:
    address, stream = cuda.allocate(1), cuda.open_stream()
    source, target = cuda.pin(1), cuda.pin(1)
    cuda.begin_capture(stream)
    cuda.upload(address, source, stream)
    cuda.download(target, address, stream)
    graph = cuda.end_capture(stream)
    for value in (7, 8):
        source[0] = value
        cuda.launch(graph, stream)
        cuda.wait(stream)
        assert target[0] == value
    cuda.drop_graph(graph)
    with pytest.raises(EngineError, match="InvalidResourceHandle"):
        cuda.launch(graph, stream)


def test_no_gpu_is_said(device: NumpyDevice) -> None:
    device.count = 0
    with pytest.raises(EngineError, match="no GPU can be used") as caught:
        CudaBindings(device)
    assert "nvidia-smi" in caught.value.hint
