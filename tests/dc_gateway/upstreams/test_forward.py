"""Calls that are handed on: servers that end, hang, refuse, lie, or name each other in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dc_gateway.upstreams.forward import HOPS, Forward
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from tests.dc_gateway.calls import infer_request, until
from tests.dc_gateway.test_metrics import asked, get
from tests.dc_gateway.upstreams.kinds import gateway_of
from tests.models import coloured_jpeg
from tests.processes import free_port

Code = grpc.StatusCode
_S = 60.0
REQUEST = infer_request(coloured_jpeg("red"))


class Other:
    """A server of the protocol that is not ours: it does as it is told."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self.go = asyncio.Event()
        self.go.set()
        self.asked = 0
        self.hops = 0
        self.infer: Any = None

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=True)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked += 1
        self.hops = request.parameters[HOPS].int64_param
        await self.go.wait()
        if self.infer is not None:
            return await self.infer(request, context)
        if self.code is not None:
            await context.abort(self.code, self.details, (("retry-after", "7"),))
        return messages.ModelInferResponse(model_name=request.model_name, id="other")

    def __getattr__(self, name: str) -> Any:
        return None


@asynccontextmanager
async def others(count: int) -> AsyncIterator[tuple[list[Other], list[str]]]:
    found, servers, addresses = [Other() for _ in range(count)], [], []
    for one in found:
        server = grpc.aio.server()
        add_GRPCInferenceServiceServicer_to_server(one, server)  # type: ignore[no-untyped-call]
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        servers.append(server)
    try:
        yield found, addresses
    finally:
        for server in servers:
            await server.stop(None)


async def refused(stub: Any, timeout: float = _S) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(REQUEST, timeout=timeout)
    return caught.value


def forward_of(served: Any) -> Forward:
    found: Forward = served.forward
    return found


async def test_tasks_that_are_here_are_answered_here_and_others_elsewhere(
    repository: Path,
) -> None:
    async with (
        others(1) as ([other], addresses),
        gateway_of(repository, upstreams=addresses, tasks=("tiny",)) as (_, stub),
    ):
        here = await stub.ModelInfer(REQUEST, timeout=_S)
        there = await stub.ModelInfer(infer_request(b"", model="theirs"), timeout=_S)
    assert (here.model_version, there.id, other.asked, other.hops) == ("1", "other", 1, 1)


async def test_every_call_is_answered_while_a_gateway_ends_and_comes_back(
    repository: Path,
) -> None:
    answered = 0
    port = free_port()

    async def ask_on(stub: Any) -> None:
        nonlocal answered
        while answered < 150:
            await stub.ModelInfer(REQUEST, timeout=_S)
            answered += 1

    async with gateway_of(repository, port=port) as (first, _), gateway_of(repository) as (two, _):
        pair = f"127.0.0.1:{port},{two.address}"
        async with gateway_of(repository, upstreams=(pair,)) as (served, stub):
            callers = [asyncio.create_task(ask_on(stub)) for _ in range(4)]
            await until(lambda: answered >= 20)
            await first.close()
            await asyncio.gather(*callers)
            forward = forward_of(served)
            assert forward.answered[f"127.0.0.1:{port}", "OK"] > 0
            before = forward.answered[f"127.0.0.1:{port}", "OK"]
            async with gateway_of(repository, port=port):
                while forward.answered[f"127.0.0.1:{port}", "OK"] == before:
                    await stub.ModelInfer(REQUEST, timeout=_S)
                    await asyncio.sleep(0.01)


async def test_a_server_that_is_silent_holds_nobody_up_where_there_is_another(
    repository: Path,
) -> None:
    async with (
        others(2) as ([slow, quick], addresses),
        gateway_of(repository, upstreams=addresses) as (_, stub),
    ):
        slow.go.clear()
        reply = await stub.ModelInfer(REQUEST, timeout=_S)
    assert (reply.id, slow.asked, quick.asked) == ("other", 1, 1)


@pytest.mark.parametrize(
    ("code", "details", "seen", "said"),
    [
        (
            Code.INVALID_ARGUMENT,
            "corrupt_image: half",
            Code.INVALID_ARGUMENT,
            "corrupt_image: half",
        ),
        (Code.INVALID_ARGUMENT, "what?", Code.INVALID_ARGUMENT, "invalid_request: what?"),
        (Code.NOT_FOUND, "no such", Code.NOT_FOUND, "unknown_task: no such"),
        (Code.RESOURCE_EXHAUSTED, "full", Code.RESOURCE_EXHAUSTED, "overloaded: full"),
        (Code.INTERNAL, "oh", Code.UNAVAILABLE, "upstream_unavailable: the upstream fails (INTER"),
        (Code.UNAUTHENTICATED, "key", Code.UNAVAILABLE, "upstream_unavailable: the upstream fails"),
    ],
)
async def test_a_refusal_is_handed_back_in_our_words(
    repository: Path, code: Code, details: str, seen: Code, said: str
) -> None:
    async with (
        others(1) as ([other], addresses),
        gateway_of(repository, upstreams=addresses) as (_, stub),
    ):
        other.code, other.details = code, details
        error = await refused(stub)
    assert error.code() is seen
    assert str(error.details()).startswith(said)
    if code is Code.RESOURCE_EXHAUSTED:
        assert ("retry-after", "7") in [tuple(one) for one in error.trailing_metadata() or ()]


async def test_what_is_the_callers_fault_is_not_asked_twice(repository: Path) -> None:
    async with (
        others(2) as (both, addresses),
        gateway_of(repository, upstreams=(",".join(addresses),)) as (_, stub),
    ):
        for one in both:
            one.code, one.details = Code.INVALID_ARGUMENT, "bad"
        await refused(stub)
    assert sum(one.asked for one in both) == 1


async def test_retries_have_a_budget_when_all_fail(repository: Path) -> None:
    async with (
        others(2) as (both, addresses),
        gateway_of(repository, upstreams=(",".join(addresses),)) as (_, stub),
    ):
        for one in both:
            one.code = Code.INTERNAL
        for _ in range(200):
            await refused(stub)
    assert sum(one.asked for one in both) < 260


async def test_with_nobody_there_the_gateway_says_so_and_is_not_ready(repository: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    options = {"upstreams": (nowhere,), "metrics_port": 0}
    async with gateway_of(repository, **options) as (served, stub):
        error = await refused(stub)
        assert error.code() is Code.UNAVAILABLE
        await until(lambda: not forward_of(served).ready)
        assert not (await stub.ServerReady(messages.ServerReadyRequest(), timeout=_S)).ready
        assert served.metrics_port is not None
        body = await asked(served.metrics_port, get())
    name = nowhere.encode()
    assert b'hawkvision_upstream_up{upstream="%b"} 0.0' % name in body
    assert b'hawkvision_upstream_calls_total{status="UNAVAILABLE",upstream="%b"}' % name in body


async def test_gateways_that_name_each_other_do_not_hand_a_call_round_for_ever(
    repository: Path,
) -> None:
    one, two = free_port(), free_port()
    async with (
        gateway_of(repository, port=one, upstreams=(f"127.0.0.1:{two}",)) as (_, stub),
        gateway_of(repository, port=two, upstreams=(f"127.0.0.1:{one}",)),
    ):
        error = await refused(stub)
    assert error.code() is Code.INVALID_ARGUMENT
    assert "in a circle" in str(error.details())
