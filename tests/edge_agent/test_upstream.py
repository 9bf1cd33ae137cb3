"""The way up: what a caller caused degrades nobody else; what the gateway did is said once."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from edge_agent.upstream import Answered, GrpcUpstream, Refused
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.repository import Repository, Task
from hawkvision.repository.task import with_flavours
from hawkvision.serving.claims import Priority
from tests.edge_agent.scripted import (
    GOOD,
    Script,
    answer,
    ask,
    call,
    garbage,
    listening,
    never,
    refuse,
    reply_to,
)
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import edge, free_port, gateway


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def task(repository: Path) -> Task:
    return Repository(repository).open("tiny")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "rejected"),
        (grpc.StatusCode.NOT_FOUND, "version_mismatch"),
        (grpc.StatusCode.FAILED_PRECONDITION, "rejected"),
        (grpc.StatusCode.OUT_OF_RANGE, "rejected"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "overload"),
    ],
)
async def test_what_a_caller_caused_degrades_its_own_answer_alone(
    task: Task, code: grpc.StatusCode, reason: str
) -> None:
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        gateway_side.script = refuse(code)
        refused = await ask(upstream, task, 12)
        assert {one.reason for one in refused} == {reason}
        assert not upstream.held_back
        gateway_side.script = answer
        assert isinstance((await ask(upstream, task, 1))[0], Answered)
        await upstream.close()


async def test_deadlines_that_are_too_short_for_anybody_degrade_nobody_else(task: Task) -> None:
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        await ask(upstream, task, 1)
        gateway_side.script = never
        refused = await ask(upstream, task, 12, seconds=0.02)
        assert {one.reason for one in refused} == {"deadline"}
        assert not upstream.held_back
        await upstream.close()


@pytest.mark.parametrize(
    "script",
    [
        garbage,
        refuse(grpc.StatusCode.UNAVAILABLE),
        refuse(grpc.StatusCode.INTERNAL),
        refuse(grpc.StatusCode.UNKNOWN),
        refuse(grpc.StatusCode.UNIMPLEMENTED),
        refuse(grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_what_the_gateway_did_holds_further_calls_back_and_is_said_once(
    task: Task, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        gateway_side.script = script
        with caplog.at_level(logging.WARNING):
            refused = await ask(upstream, task, 40)
            assert {one.reason for one in refused} == {"dc_unreachable"}
            assert gateway_side.calls < 40
            held = [upstream.held_back]
            gateway_side.script = answer
            while not isinstance((await ask(upstream, task, 1))[0], Answered):
                await asyncio.sleep(0.05)
            held.append(upstream.held_back)
        assert held == [True, False]
        await upstream.close()
    said = [record.getMessage() for record in caplog.records]
    assert [("fails" in line, "answers again" in line) for line in said] == [
        (True, False),
        (False, True),
    ]


async def test_tasks_have_breakers_of_their_own(task: Task) -> None:
    other = replace(task, name="other")

    async def only_one(request: messages.ModelInferRequest, context: Any) -> Any:
        if request.model_name == "tiny":
            await context.abort(grpc.StatusCode.INTERNAL, "as scripted")
        return await answer(request, context)

    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        gateway_side.script = only_one
        await ask(upstream, task, 12)
        assert upstream.held_back
        assert all(isinstance(one, Answered) for one in await ask(upstream, other, 12))
        await upstream.close()


async def test_gateways_behind_one_name_share_the_calls(task: Task) -> None:
    async with listening(2) as both:
        upstream = GrpcUpstream(["ipv4:" + ",".join(one.address for one in both)], 8)
        while min(one.calls for one in both) < 5:
            answers = await ask(upstream, task, 10)
            assert all(isinstance(one, Answered) for one in answers)
        await upstream.close()


async def test_when_one_of_two_gateways_goes_the_other_answers_every_call(task: Task) -> None:
    async with listening() as [stays]:
        async with listening() as [goes]:
            upstream = GrpcUpstream([f"ipv4:{stays.address},{goes.address}"], 8)
            while min(stays.calls, goes.calls) < 2:
                await ask(upstream, task, 4)
        answers = await ask(upstream, task, 40)
        assert [one for one in answers if not isinstance(one, Answered)] == []
        assert not upstream.held_back
        await upstream.close()


async def test_callers_who_leave_a_probe_leave_it_to_the_next(task: Task) -> None:
    """A breaker that is half open waits for no verdict that will never come."""
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        gateway_side.script = refuse(grpc.StatusCode.INTERNAL)
        await ask(upstream, task, 12)
        held = [upstream.held_back]
        gateway_side.script, asked = never, gateway_side.calls
        while gateway_side.calls == asked:
            probe = asyncio.create_task(upstream.ask(call(task)))
            await asyncio.sleep(0.05)
            probe.cancel()
        gateway_side.script = answer
        while not isinstance((await ask(upstream, task, 1))[0], Answered):
            await asyncio.sleep(0.05)
        assert [*held, upstream.held_back] == [True, False]
        await upstream.close()


async def test_a_version_that_the_gateway_lacks_is_said_once_until_it_is_there(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        with caplog.at_level(logging.WARNING):
            for script in (refuse(grpc.StatusCode.NOT_FOUND), answer) * 2:
                gateway_side.script = script
                await ask(upstream, task, 10)
        await upstream.close()
    said = [one.getMessage() for one in caplog.records]
    assert ["does not have task tiny" in one for one in said] == [True, False] * 2
    assert ["has task tiny version 1 now" in one for one in said] == [False, True] * 2


async def test_background_calls_leave_room(task: Task) -> None:
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 4)
        gateway_side.script = never
        audit = asyncio.create_task(upstream.ask(call(task, priority=Priority.AUDIT)))
        while not gateway_side.calls:
            await asyncio.sleep(0.01)
        assert await upstream.ask(call(task, priority=Priority.AUDIT)) == Refused("overload")
        gateway_side.script = answer
        assert isinstance(await upstream.ask(call(task)), Answered)
        audit.cancel()
        await upstream.close()


def post(address: str, path: str, image: bytes, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(f"http://{address}{path}", data=image, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        body: dict[str, Any] = json.load(reply)
    return body


@pytest.mark.parametrize("trace", ["caf\xe9", "00-x", "0" * 5000])
def test_a_traceparent_that_is_none_is_not_passed_on(repository: Path, trace: str) -> None:
    with gateway(repository) as dc, edge(repository, dc.address) as agent:
        answers = [
            post(
                agent.address,
                "/v1/classify?accuracy=0.9",
                coloured_jpeg("red", seed),
                {"traceparent": trace},
            )
            for seed in range(25)
        ]
    assert any(answer["escalated"] for answer in answers)
    assert {answer["degraded"] for answer in answers} == {None}


def test_a_proxy_in_the_environment_does_not_take_the_gateway_away(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with gateway(repository) as dc, edge(repository, dc.address) as agent:
        answers = []
        for seed in range(25):
            url = f"http://{agent.address}/v1/classify?accuracy=0.9"
            with opener.open(url, coloured_jpeg("red", seed), timeout=60) as reply:
                answers.append(json.load(reply))
    assert any(answer["escalated"] for answer in answers)
    assert {answer["degraded"] for answer in answers} == {None}


def test_images_over_the_gateway_s_limit_degrade_only_themselves(repository: Path) -> None:
    """Sent twelve times in a row, they open nothing."""
    large = coloured_jpeg("red", seed=3, size=(400, 400))
    with (
        gateway(repository, "--max-image-bytes", str(len(large) - 1)) as dc,
        edge(repository, dc.address) as agent,
    ):
        path = "/v1/classify?accuracy=relative:0.0001"
        refused = [post(agent.address, path, large, {}) for _ in range(12)]
        answers = [post(agent.address, path, coloured_jpeg("red", seed), {}) for seed in range(12)]
    assert {answer["degraded"] for answer in refused} == {"rejected"}
    assert {answer["degraded"] for answer in answers} == {None}
    assert any(answer["escalated"] for answer in answers)


async def test_answers_of_files_that_the_thresholds_do_not_rest_on_are_not_certified(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    async def fast(request: messages.ModelInferRequest, _context: Any) -> Any:
        return reply_to(request, GOOD, flavour="fast")

    both = with_flavours(task, {"fast": task})
    async with listening() as [gateway_side]:
        upstream = GrpcUpstream([gateway_side.address], 8)
        plain = await ask(upstream, both, 1)
        gateway_side.script = fast
        with caplog.at_level(logging.WARNING):
            other = await ask(upstream, both, 3)
        expected = await ask(upstream, both.below("fast"), 1)
        gateway_side.script = answer
        missing = await ask(upstream, both.as_flavour("fast"), 1)
        await upstream.close()
    assert [one.agrees for one in (*plain, *other, *expected, *missing)] == [
        True,
        *[False] * 3,
        True,
        False,
    ]
    assert [one.message.count("--dc-flavour") for one in caplog.records] == [1, 1]
