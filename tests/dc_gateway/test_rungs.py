"""A call says from which rung on it asks; the reply says which rungs answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.metrics import BatchCollector
from dc_gateway.model import load_models
from dc_gateway.server import Gateway
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.oip.rungs import BEGAN, FROM_RUNG, RUNGS
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.conftest import Served
from tests.models import LABELS, SIDE, build_chain, coloured_jpeg

IMAGES = [coloured_jpeg(LABELS[i % 4], seed=20_000 + i) for i in range(24)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patches = {"edge": 5, "medium": 12, "dc": SIDE}
    return build_chain(tmp_path_factory.mktemp("chain"), patches, (0.9,))


@asynccontextmanager
async def serving(repository: Path, **settings: Any) -> AsyncIterator[Served]:
    config = GatewayConfig(port=0, model_repository=repository, threads=1, **settings)
    gateway = Gateway(config, load_models(config))
    address = f"127.0.0.1:{await gateway.start()}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            yield Served(gateway, address, stub)
    finally:
        await gateway.close()


def request(from_rung: int | None = None) -> Any:
    made = infer_request(*IMAGES)
    if from_rung is not None:
        made.parameters[FROM_RUNG].uint64_param = from_rung
    return made


def places(reply: Any) -> list[int]:
    return [int(place) for place in reply.parameters[RUNGS].string_param.split(",")]


@pytest.mark.parametrize("batching", [False, True])
async def test_the_rungs_from_the_one_that_is_asked_answer(chain: Path, batching: bool) -> None:
    async with serving(chain, batching=batching) as served:
        whole = await served.stub.ModelInfer(request())
        first = await served.stub.ModelInfer(request(1))
        last = await served.stub.ModelInfer(request(2))
        counted = dict(served.gateway.servicer.answered)
        families = BatchCollector(served.gateway.runner, served.gateway.servicer).collect()
        shown = {one.name: one for one in families}["hawkvision_rung_images"]
    assert set(places(whole)) == {1, 2} and places(first) == places(whole)
    assert whole.raw_output_contents == first.raw_output_contents
    assert set(places(last)) == {2}
    assert BEGAN not in whole.parameters and BEGAN not in last.parameters
    middle = 2 * places(whole).count(1)
    assert counted == {("tiny", "medium"): middle, ("tiny", "dc"): 3 * len(IMAGES) - middle}
    assert {s.labels["rung"]: s.value for s in shown.samples}["medium"] == middle


async def test_a_gateway_without_a_rung_says_where_it_began(chain: Path) -> None:
    async with serving(chain, first_rung=2) as served, serving(chain, first_rung=9) as beyond:
        assert [rung.name for rung in served.gateway.models["tiny"].rungs] == ["dc"]
        for one in (served, beyond):
            reply = await one.stub.ModelInfer(request())
            assert set(places(reply)) == {2} and reply.parameters[BEGAN].uint64_param == 2
            assert BEGAN not in (await one.stub.ModelInfer(request(2))).parameters


@pytest.mark.parametrize("place", [0, 3, 2**64 - 1])
async def test_a_rung_that_the_task_does_not_have_is_refused(chain: Path, place: int) -> None:
    async with serving(chain) as served:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.stub.ModelInfer(request(place))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "whole number from 1 to 2" in str(caught.value.details())
        assert served.gateway.servicer.refused.total() == 0
