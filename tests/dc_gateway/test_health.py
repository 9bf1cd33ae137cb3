"""`grpc.health.v1`, as probes and load balancers ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from tests.dc_gateway.conftest import Serve, Served

Code = grpc.StatusCode
SERVING, NOT_SERVING, UNKNOWN = (
    HealthCheckResponse.SERVING,
    HealthCheckResponse.NOT_SERVING,
    HealthCheckResponse.SERVICE_UNKNOWN,
)


@asynccontextmanager
async def health(served: Served) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(served.address) as channel:
        yield HealthStub(channel)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "service", ["", "tiny", "inference.GRPCInferenceService", "grpc.health.v1.Health"]
)
async def test_what_is_here_serves_until_the_gateway_drains(serve: Serve, service: str) -> None:
    request = HealthCheckRequest(service=service)
    async with serve(drain_notice_s=60.0) as served, health(served) as stub:
        before = await stub.Check(request)
        drain = asyncio.create_task(served.gateway.drain())
        while not served.gateway.servicer.draining:
            await asyncio.sleep(0)
        after = await stub.Check(request)
        drain.cancel()
    assert (before.status, after.status) == (SERVING, NOT_SERVING)


async def test_what_is_not_here_is_not_found(serve: Serve) -> None:
    async with serve() as served, health(served) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(HealthCheckRequest(service="nothing"))
    assert caught.value.code() is Code.NOT_FOUND
    assert "There is '', 'grpc.health.v1.Health'" in str(caught.value.details())


async def test_the_bytes_are_those_of_the_protocol(serve: Serve) -> None:
    async with serve() as served, grpc.aio.insecure_channel(served.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await check(b"\x0a\x04tiny") == b"\x08\x01"
        assert await check(b"") == b"\x08\x01"


async def test_a_watch_tells_of_the_drain_and_ends_with_it(serve: Serve) -> None:
    async with serve() as served, health(served) as stub:
        seen = {}
        for service in ("tiny", "nothing"):
            watch = stub.Watch(HealthCheckRequest(service=service))
            seen[service] = [watch, (await watch.read()).status]
        await served.gateway.drain()
        tiny, nothing = seen["tiny"][0], seen["nothing"][0]
        assert (seen["tiny"][1], (await tiny.read()).status) == (SERVING, NOT_SERVING)
        assert seen["nothing"][1] == UNKNOWN
        assert await tiny.code() is await nothing.code() is Code.UNAVAILABLE


async def test_watches_of_one_client_are_bounded(serve: Serve) -> None:
    async with serve(max_calls=4) as served, health(served) as stub:
        watches = [stub.Watch(HealthCheckRequest()) for _ in range(3)]
        for watch in watches:
            await watch.read()
        assert await stub.Watch(HealthCheckRequest()).code() is Code.RESOURCE_EXHAUSTED
        watches[0].cancel()
        while await (again := stub.Watch(HealthCheckRequest())).read() is grpc.aio.EOF:
            assert await again.code() is Code.RESOURCE_EXHAUSTED
