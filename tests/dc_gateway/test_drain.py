"""Start and stop of a real gateway process: drain on a signal, a port that is taken."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from PIL import Image

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve
from tests.models import coloured_jpeg
from tests.processes import gateway


def slow_request() -> messages.ModelInferRequest:
    """A batch whose decoding takes a good part of a second, and no more than the grace."""
    pixels = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    request = messages.ModelInferRequest(model_name="tiny")
    request.inputs.add(name="image", datatype="BYTES", shape=[10])
    request.raw_input_contents.append(pack_bytes([buffer.getvalue()] * 10))
    return request


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_on_a_signal_calls_in_flight_finish_and_the_process_exits_with_zero(
    repository: Path, number: signal.Signals
) -> None:
    with gateway(repository) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            await stub.ServerReady(messages.ServerReadyRequest(), wait_for_ready=True)
            call = asyncio.ensure_future(stub.ModelInfer(slow_request()))
            await stub.ServerReady(messages.ServerReadyRequest())
            signalled = time.monotonic()
            served.process.send_signal(number)
            reply = await call
        status = await asyncio.to_thread(served.process.wait, 20)
        took = time.monotonic() - signalled
    assert list(reply.outputs[0].shape) == [10, 4]
    assert status == 0
    assert took < 5


async def test_a_draining_gateway_refuses_new_calls_and_answers_the_one_that_waits(
    serve: Serve,
) -> None:
    request = infer_request(coloured_jpeg("red"))
    async with serve() as served:
        async with busy_thread(served):
            waiting = asyncio.ensure_future(served.stub.ModelInfer(request))
            await until(lambda: served.gateway.pool.waiting == 1)
            drain = asyncio.create_task(served.gateway.drain())
            await until(lambda: served.gateway.servicer.draining)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                while True:
                    await served.stub.ServerReady(messages.ServerReadyRequest(), timeout=20)
        reply = await waiting
        await drain
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert list(reply.outputs[0].shape) == [1, 4]


async def test_after_sigterm_the_gateway_is_not_ready_and_then_gone(repository: Path) -> None:
    with gateway(repository) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            assert (await stub.ServerReady(messages.ServerReadyRequest())).ready
            served.process.send_signal(signal.SIGTERM)
            ready = True
            while ready:
                try:
                    ready = (
                        await stub.ServerReady(messages.ServerReadyRequest(), timeout=10)
                    ).ready
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE
                    ready = False
        assert await asyncio.to_thread(served.process.wait, 20) == 0


def failing(*options: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that cannot start."""
    command = [sys.executable, "-m", "hawkvision.cli", "dc", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_taken_is_one_line_and_exit_status_one(repository: Path) -> None:
    with gateway(repository) as served:
        second = failing("--port", str(served.port), "--model-repository", str(repository))
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.count("\n") == 2  # what is wrong, and what to do
    assert f"cannot listen on 127.0.0.1:{served.port}" in second.stderr


def test_a_task_that_is_not_there_is_one_line_and_exit_status_one(repository: Path) -> None:
    result = failing("--task", "nothing", "--port", "0", "--model-repository", str(repository))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 2  # what is wrong, and what to do
    assert "no task 'nothing'" in result.stderr


def test_options_may_come_from_a_file(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('task = ["nothing"]\nmax-queue = 8\n')
    result = failing("--config", str(path), "--model-repository", str(repository))
    assert "no task 'nothing'" in result.stderr
