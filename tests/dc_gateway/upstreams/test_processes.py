"""A gateway over worker processes: killed under load, hung, at a bad image, at its end."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest

from dc_gateway.server import Gateway
from dc_gateway.upstreams.processes import Processes
from hawkvision.serving.processes import HUNG
from tests.dc_gateway.calls import infer_request, until
from tests.dc_gateway.test_metrics import asked, get
from tests.dc_gateway.upstreams.kinds import gateway_of
from tests.models import coloured_jpeg
from tests.processes import gateway

Code = grpc.StatusCode
_S = 60.0


def workers(served: Gateway) -> Processes:
    (found,) = served.processes
    return found


async def test_every_call_is_answered_while_workers_are_killed(repository: Path) -> None:
    image = coloured_jpeg("red", seed=1, noise=5.0)
    async with gateway_of(repository, processes=2, max_queue=64) as (served, stub):
        pool = workers(served).quick
        answered = 0

        async def ask_on() -> None:
            nonlocal answered
            while answered < 400:
                await stub.ModelInfer(infer_request(image), timeout=_S)
                answered += 1

        def reached(count: int) -> bool:
            return answered >= count and pool.ready == 2

        def ended(count: int) -> bool:
            return pool.ends.total() >= count

        callers = [asyncio.create_task(ask_on()) for _ in range(8)]
        for already, ends in ((50, 1), (200, 2)):
            await until(partial(reached, already))
            os.kill(pool.pids[0], signal.SIGKILL)
            await until(partial(ended, ends))
        await asyncio.gather(*callers)
        await until(lambda: pool.ready == 2)
        assert pool.ends == {"signal 9 (SIGKILL)": 2}


async def test_a_worker_that_hangs_costs_one_call_and_is_replaced(repository: Path) -> None:
    request = infer_request(coloured_jpeg("red"))
    options = {"processes": 1, "process_grace_s": 0.2, "metrics_port": 0}
    async with gateway_of(repository, **options) as (served, stub):
        os.kill(workers(served).quick.pids[0], signal.SIGSTOP)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(request, timeout=1.0)
        assert caught.value.code() is Code.DEADLINE_EXCEEDED
        assert (await stub.ModelInfer(request, timeout=_S)).model_name == "tiny"
        assert workers(served).ends == {HUNG: 1}
        assert served.metrics_port is not None
        body = await asked(served.metrics_port, get())
    assert b'hawkvision_worker_ends_total{cause="it hung"} 1.0' in body
    assert b"hawkvision_workers 1.0" in body


async def test_in_a_batch_a_bad_image_fails_its_own_call_alone(repository: Path) -> None:
    good, half = coloured_jpeg("red"), coloured_jpeg("red", seed=3)[:-400]
    async with gateway_of(repository, processes=1, batching=True) as (served, stub):
        [line] = served.runner.lines
        line.coming = lambda: 1000  # as if many were about to come
        line.batcher.cost.setup_s = 20.0
        line.batcher.limits = type(line.batcher.limits)(2, 64, 1 << 26)
        well = stub.ModelInfer(infer_request(good), timeout=_S)
        ill = stub.ModelInfer(infer_request(half), timeout=_S)
        assert (await well).model_name == "tiny"
        assert await ill.code() is Code.INVALID_ARGUMENT
        assert line.sizes == {2: 1}


async def test_closing_does_not_wait_for_a_call_at_work(repository: Path) -> None:
    async with gateway_of(repository, processes=1) as (served, stub):
        pool = workers(served).quick
        os.kill(pool.pids[0], signal.SIGSTOP)
        call = stub.ModelInfer(infer_request(coloured_jpeg("red")), timeout=_S)
        await until(lambda: pool._places[0].state == "busy")
        async with asyncio.timeout(30):
            await served.close()
        assert await call.code() is not Code.OK


def test_workers_end_with_a_gateway_that_is_killed(repository: Path) -> None:
    with gateway(repository, "--processes", "2") as service:
        children = psutil.Process(service.process.pid).children(recursive=True)
        assert len(children) == 2
        service.process.kill()
        gone, left = psutil.wait_procs(children, timeout=60)
    assert (len(gone), left) == (2, [])
