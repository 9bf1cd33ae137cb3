"""Several gateways: who is asked when one hangs, fails, lacks a version, is full, or is slow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.model import load_models
from dc_gateway.server import Gateway
from edge_agent.upstream import Answered, GrpcUpstream, Refused
from hawkvision.repository import Repository, Task
from hawkvision.serving.claims import Priority
from hawkvision.serving.upstreams.balancer import BalancerSettings
from hawkvision.serving.upstreams.hedging import Hedging
from hawkvision.serving.upstreams.retry_budget import BudgetSettings
from loadtest.link.model import LinkSettings
from loadtest.link.relay import TcpRelay
from tests.edge_agent.scripted import (
    Scripted,
    after,
    answer,
    ask,
    call,
    listening,
    never,
    refuse,
)
from tests.models import coloured_jpeg
from tests.processes import HANGS_S

OVERLOADED = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "7")


@pytest.fixture(scope="module")
def task(tiny_repository: Path) -> Task:
    return Repository(tiny_repository).open("tiny")


@asynccontextmanager
async def over(
    *groups: str, settings: BalancerSettings | None = None
) -> AsyncIterator[GrpcUpstream]:
    upstream = GrpcUpstream(groups, 64, settings)
    try:
        yield upstream
    finally:
        await upstream.close()


@asynccontextmanager
async def two(
    settings: BalancerSettings | None = None,
) -> AsyncIterator[tuple[Scripted, Scripted, GrpcUpstream]]:
    """A near gateway and a far one."""
    async with (
        listening(2) as (near, far),
        over(near.address, far.address, settings=settings) as upstream,
    ):
        yield near, far, upstream


def reasons(replies: list[Answered | Refused]) -> set[str]:
    return {"answered" if isinstance(one, Answered) else one.reason for one in replies}


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_S):
        while not done():
            await asyncio.sleep(0.02)


async def test_the_near_one_answers_while_it_can(task: Task) -> None:
    async with two() as (near, far, upstream):
        assert reasons(await ask(upstream, task, 20)) == {"answered"}
        assert (near.calls, far.calls) == (20, 0)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_what_one_refuses_the_other_answers(task: Task, code: grpc.StatusCode) -> None:
    async with two() as (near, far, upstream):
        near.script = refuse(code)
        assert reasons(await ask(upstream, task, 15)) == {"answered"}
        assert (near.calls <= 15, far.calls) == (True, 15)


async def test_a_version_is_asked_for_where_it_is(task: Task) -> None:
    async with two() as (near, far, upstream):
        near.script = refuse(grpc.StatusCode.NOT_FOUND)
        assert reasons(await ask(upstream, task, 20)) == {"answered"}
        assert (near.calls < 5, far.calls) == (True, 20)
        far.script = refuse(grpc.StatusCode.NOT_FOUND)
        assert reasons(await ask(upstream, task, 20)) == {"version_mismatch"}


async def test_what_no_gateway_would_take_is_asked_once(task: Task) -> None:
    async with two() as (near, far, upstream):
        near.script = refuse(grpc.StatusCode.INVALID_ARGUMENT)
        assert reasons(await ask(upstream, task, 10)) == {"rejected"}
        assert (near.calls, far.calls) == (10, 0)


async def test_one_that_is_full_is_left_in_peace_for_a_while(task: Task) -> None:
    async with two() as (near, _far, upstream):
        near.script = OVERLOADED
        begun = time.monotonic()
        assert reasons(await ask(upstream, task, 20)) == {"answered"}
        assert near.calls <= 2 + (time.monotonic() - begun)


async def test_when_all_are_full_nobody_asks_twice_as_much(task: Task) -> None:
    settings = BalancerSettings(budget=BudgetSettings(share=0.1, per_s=0.0, most=2.0))
    async with two(settings) as (near, far, upstream):
        near.script = far.script = OVERLOADED
        assert reasons(await ask(upstream, task, 50)) == {"overload"}
        assert near.calls + far.calls <= 50 + 2 + 5


async def test_under_total_failure_second_calls_keep_to_their_budget(task: Task) -> None:
    settings = BalancerSettings(budget=BudgetSettings(share=0.1, per_s=0.0, most=3.0))
    async with two(settings) as (near, far, upstream):
        near.script = far.script = refuse(grpc.StatusCode.UNAVAILABLE)
        replies = await asyncio.gather(*(upstream.ask(call(task)) for _ in range(60)))
        assert reasons(replies) == {"dc_unreachable"}
        assert near.calls + far.calls <= 60 + 3 + 6
        asked = near.calls + far.calls
        assert reasons(await ask(upstream, task, 60)) == {"dc_unreachable"}
        assert near.calls + far.calls - asked < 30
        assert upstream.held_back


async def test_calls_that_a_hung_gateway_has_are_answered_by_the_other(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    async with two() as (near, _far, upstream):
        await ask(upstream, task, 4)
        near.script = never
        with caplog.at_level(logging.WARNING):
            replies = await asyncio.gather(*(upstream.ask(call(task)) for _ in range(8)))
            assert reasons(replies) == {"answered"}
            calls = near.calls
            assert reasons(await ask(upstream, task, 20)) == {"answered"}
        assert near.calls - calls < 5
        assert upstream.client.balancer.endpoints[0].in_flight == 0
    assert ["no answer within" in one.getMessage() for one in caplog.records] == [True]


async def test_a_second_call_is_made_early_only_where_that_is_wanted(task: Task) -> None:
    settings = BalancerSettings(hedging=Hedging(after_s=0.01))
    async with two(settings) as (near, far, upstream):
        near.script = never
        assert reasons(await ask(upstream, task, 5)) == {"answered"}
        assert far.calls == 5
        assert upstream.client.seconds["won"] == 5
    async with two() as (near, far, upstream):
        near.script = after(0.1)
        await ask(upstream, task, 5)
        assert far.calls == 0


async def test_audits_are_never_made_twice(task: Task) -> None:
    async with two() as (near, far, upstream):
        near.script = refuse(grpc.StatusCode.INTERNAL)
        assert isinstance(await upstream.ask(call(task, priority=Priority.AUDIT)), Refused)
        assert far.calls == 0


async def test_callers_who_leave_leave_nothing_behind(task: Task) -> None:
    async with two() as (near, _far, upstream):
        near.script = never
        asking = [asyncio.create_task(upstream.ask(call(task))) for _ in range(5)]
        asking[0].cancel()  # before its first step
        while near.calls < 4:
            await asyncio.sleep(0.01)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        endpoints = upstream.client.balancer.endpoints
        await until(lambda: sum(one.in_flight for one in endpoints) == 0)


async def test_over_a_slow_link_calls_without_time_are_not_begun(
    task: Task, tiny_repository: Path
) -> None:
    """And those with time are, and find out when the link is quick again."""
    async with listening() as [gateway_side]:
        port = int(gateway_side.address.rpartition(":")[2])
        with TcpRelay(("127.0.0.1", port), LinkSettings(delay_s=0.15)) as slow:
            async with over(f"127.0.0.1:{slow.port}") as upstream:
                await ask(upstream, task, 1)
                asked, begun = gateway_side.calls, time.monotonic()
                assert reasons(await ask(upstream, task, 50, seconds=0.1)) == {"deadline"}
                explored = 2 * (time.monotonic() - begun) + 1
                await until(lambda: gateway_side.calls > asked)
                assert gateway_side.calls - asked <= 4 + explored
                assert reasons(await ask(upstream, task, 3, seconds=30.0)) == {"answered"}


async def test_it_heals_when_a_gateway_is_quick_again(task: Task) -> None:
    async with listening() as [gateway_side], over(gateway_side.address) as upstream:
        gateway_side.script = after(0.3)
        while reasons(await ask(upstream, task, 5, seconds=0.2)) != {"deadline"}:
            pass
        gateway_side.script = answer
        while reasons(await ask(upstream, task, 5, seconds=0.2)) != {"answered"}:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def real(repository: Path, port: int = 0) -> AsyncIterator[Gateway]:
    config = GatewayConfig(port=port, model_repository=repository, threads=1, drain_notice_s=30.0)
    gateway = Gateway(config, load_models(config))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def test_who_is_about_to_stop_is_left_before_it_stops(
    task: Task, tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        real(tiny_repository) as near,
        real(tiny_repository) as far,
        over(near.address, far.address) as upstream,
    ):
        image = coloured_jpeg("red", seed=1)

        async def asked() -> str:
            """Whom one more call went to."""
            before = dict(upstream.client.calls)
            reply = await upstream.ask(call(task, image=image))
            assert isinstance(reply, Answered)
            after = upstream.client.calls
            return next(key[0] for key in after if after[key] != before.get(key, 0))

        assert await asked() == near.address
        await until(lambda: upstream.client.balancer.endpoints[0].watched)
        drain = asyncio.create_task(near.drain())
        await until(lambda: upstream.gateways()[0].health == "draining")
        assert await asked() == far.address
        with caplog.at_level(logging.WARNING):
            drain.cancel()
            await near.close()
            await until(lambda: upstream.gateways()[0].health == "ejected")
            assert await asked() == far.address
    said = [one.getMessage() for one in caplog.records if one.name == "edge_agent.upstream"]
    assert [f"gateway {near.address} fails" in one for one in said] == [True]
