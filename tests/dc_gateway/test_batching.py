"""Calls that share batches: each gets its own answer, whoever runs it; users come first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel, load_models
from dc_gateway.server import Gateway
from hawkvision.errors import EngineError
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.inference import parse_reply
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve, Served
from tests.dc_gateway.test_metrics import asked, get
from tests.models import LABELS, coloured_jpeg

Code = grpc.StatusCode


def asks(label: str, priority: int = 0) -> messages.ModelInferRequest:
    request = infer_request(coloured_jpeg(label, seed=1, noise=5.0))
    if priority:
        request.parameters["priority"].uint64_param = priority
    return request


def label(reply: messages.ModelInferResponse) -> str:
    rows = next(iter(parse_reply(reply).outputs.values()))
    return LABELS[int(rows[0].argmax())]


def wait_for_company(served: Served, monkeypatch: pytest.MonkeyPatch, setup_s: float) -> None:
    """As if starting a batch took so long, and many calls were about to come."""
    for line in served.gateway.runner.lines:
        monkeypatch.setattr(line, "coming", lambda: 1000)
        line.batcher.cost.setup_s = setup_s


async def test_calls_at_once_share_a_batch_and_each_gets_its_own_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(batching=True, max_batch=4, metrics_port=0) as served:
        wait_for_company(served, monkeypatch, 20.0)
        replies = await asyncio.gather(*(served.stub.ModelInfer(asks(one)) for one in LABELS))
        line = served.gateway.runner.lines[-1]
        port = served.gateway.metrics_port
        assert port is not None
        body = await asked(port, get())
    assert [label(reply) for reply in replies] == list(LABELS)
    assert line.sizes == {4: 1}
    assert b'hawkvision_batch_images_bucket{le="2.0",rung="tiny/dc"} 0.0' in body
    assert b'hawkvision_batch_images_bucket{le="4.0",rung="tiny/dc"} 1.0' in body
    assert b'hawkvision_batch_images_sum{rung="tiny/dc"} 4.0' in body


@pytest.mark.parametrize("batching", [None, False])
async def test_on_a_cpu_or_without_batching_every_call_runs_by_itself(
    serve: Serve, batching: bool | None
) -> None:
    async with serve(batching=batching) as served:
        replies = await asyncio.gather(*(served.stub.ModelInfer(asks(one)) for one in LABELS))
        assert served.gateway.runner.lines == []
    assert [label(reply) for reply in replies] == list(LABELS)


async def test_a_call_that_waits_for_company_may_be_cancelled(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(batching=True, max_batch=2) as served:
        wait_for_company(served, monkeypatch, 20.0)
        gone = served.stub.ModelInfer(asks("red"))
        await until(lambda: served.gateway.runner.waiting == 1)
        gone.cancel()
        await until(lambda: served.gateway.servicer._images.held == 0)
        calls = [served.stub.ModelInfer(asks(one)) for one in ("green", "blue")]
        assert [label(await one) for one in calls] == ["green", "blue"]


async def test_a_fault_of_the_network_fails_the_batch_and_not_the_next(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(images: Sequence[Any]) -> list[Any]:
        raise EngineError("out of order")

    async with serve(batching=True, max_batch=2) as served:
        line = served.gateway.runner.lines[-1]
        with monkeypatch.context() as broken:
            wait_for_company(served, broken, 20.0)
            broken.setattr(line, "run", fail)
            calls = [served.stub.ModelInfer(asks("red")) for _ in range(2)]
            codes = [await one.code() for one in calls]
        assert codes == [Code.INTERNAL] * 2
        line.batcher.cost.setup_s = 0.0
        assert label(await served.stub.ModelInfer(asks("red"))) == "red"


async def test_users_push_probes_out_of_a_full_queue_and_are_answered_first(
    serve: Serve,
) -> None:
    done: list[int] = []

    async def one(served: Served, priority: int) -> None:
        await served.stub.ModelInfer(asks("red", priority))
        done.append(priority)

    async with serve(max_queue=2, max_client_share=1.0, metrics_port=0) as served:
        async with busy_thread(served):
            tasks = []
            for priority in (3, 2):
                tasks.append(asyncio.create_task(one(served, priority)))
                await until(lambda: served.gateway.pool.waiting == len(tasks))
            tasks.append(asyncio.create_task(one(served, 1)))
            with pytest.raises(grpc.aio.AioRpcError) as pushed:
                await tasks[0]
        await asyncio.gather(*tasks[1:])
        port = served.gateway.metrics_port
        assert port is not None
        body = await asked(port, get())
    assert pushed.value.code() is Code.RESOURCE_EXHAUSTED
    assert done == [1, 2]
    assert b'hawkvision_refused_total{priority="probe",reason="overloaded"} 1.0' in body


@pytest.mark.parametrize("value", [{"string_param": "high"}, {"int64_param": -1}, {}])
async def test_a_priority_that_is_no_number_is_an_invalid_argument(
    serve: Serve, value: dict[str, Any]
) -> None:
    request = asks("red")
    request.parameters["priority"].CopyFrom(messages.InferParameter(**value))
    async with serve() as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.stub.ModelInfer(request)
    assert refused.value.code() is Code.INVALID_ARGUMENT


async def test_a_middle_rung_hands_on_what_it_is_not_sure_of(repository: Path) -> None:
    """The task's large rung twice: the first is never sure of red."""
    config = GatewayConfig(model_repository=repository, port=0, threads=1, batching=True)
    loaded = load_models(config)["tiny"]
    chain = LargeModel(loaded.task, [*loaded.rungs, *loaded.rungs], config.limits)
    chain._thresholds = [2.0, None]
    gateway = Gateway(config, {"tiny": chain})
    address = f"127.0.0.1:{await gateway.start()}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            replies = [await stub.ModelInfer(asks(one)) for one in LABELS]
    finally:
        await gateway.close()
    assert [label(reply) for reply in replies] == list(LABELS)
    assert [dict(line.sizes) for line in gateway.runner.lines] == [{1: 4}, {1: 4}]
