"""Requests whose head came before on their connection need no parser, and are none the worse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edge_agent.agent import Agent
from hawkvision.serving.access.keyfile import KeyFile
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.connection import Connection
from tests.edge_agent.agents import Reply, read_reply, request, started
from tests.edge_agent.http.test_keys import bearer, guarded, one
from tests.models import coloured_jpeg

PATH = "/v1/classify?accuracy=0.5"
RED, BLUE = coloured_jpeg("red"), coloured_jpeg("blue") + b"\0\0"
"""Of different lengths."""


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with started(tiny_repository) as one:
        yield one


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser was given."""
    fed: list[bytes] = []
    received = web.RequestHandler.data_received

    def noted(self: Connection, data: bytes) -> None:
        fed.append(data)
        received(self, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", noted)
    return fed


Ask = Callable[..., Coroutine[Any, Any, Reply]]


@pytest.fixture
async def ask(agent: Agent, parsed: list[bytes]) -> AsyncIterator[Ask]:
    """Send bytes over the one connection, each part once the one before was read; the reply."""
    fed = parsed
    reader, writer = await asyncio.open_connection("127.0.0.1", int(agent.url.rpartition(":")[2]))

    async def sent(*parts: bytes) -> Reply:
        for part in parts:
            before = len(fed)
            writer.write(part)
            while part is not parts[-1] and len(fed) == before:
                await asyncio.sleep(0)  # until the agent has read it
        return await read_reply(reader)

    yield sent
    writer.close()


async def test_the_parser_reads_a_head_once(ask: Ask, parsed: list[bytes]) -> None:
    images = (RED, BLUE, RED, RED)
    labels = [(await ask(request("POST", PATH, one))).json["label"] for one in images]
    assert labels == ["red", "blue", "red", "red"]
    assert parsed == [request("POST", PATH, RED)]


async def test_another_head_is_parsed(ask: Ask, parsed: list[bytes]) -> None:
    sent = [
        request("POST", PATH, RED),
        request("POST", f"{PATH}&top_k=1", RED),
        request("POST", f"{PATH}&top_k=1", RED, "traceparent: x"),
        request("GET", "/v2"),
        request("POST", PATH, RED),
    ]
    replies = [await ask(one) for one in sent]
    assert [len(one.json.get("top_k", "")) for one in replies] == [3, 1, 1, 0, 3]
    assert parsed == sent


async def test_what_aiohttp_answers_between_does_not_harm(ask: Ask, parsed: list[bytes]) -> None:
    sent = request("POST", PATH, RED)
    assert (await ask(sent)).status == 200
    assert (await ask(request("GET", "/v2"))).json["name"]
    assert (await ask(request("POST", "/v1/feedback", b"{}"))).status == 400
    assert (await ask(sent)).json["label"] == "red"
    assert len(parsed) == 3


async def test_bytes_within_another_request_are_no_head(ask: Ask, parsed: list[bytes]) -> None:
    """The known head, byte for byte, as the body of a request that has begun."""
    known = request("POST", PATH, RED)
    assert (await ask(known)).status == 200
    begun = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(known)}\r\n\r\n".encode()
    reply = await ask(begun, known)
    assert (reply.status, reply.code) == (415, "unsupported_image")
    assert (await ask(known)).json["label"] == "red"
    assert parsed == [known, begun, known]


async def test_bytes_after_a_request_belong_to_the_next(ask: Ask, parsed: list[bytes]) -> None:
    """A head of which a part has come with the request before, and the known one as its rest."""
    known = request("POST", PATH, RED)
    assert (await ask(known)).status == 200
    part = b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-Rest: "
    assert (await ask(known + part)).json["label"] == "red"
    assert (await ask(known)).status == 400  # of two Content-Lengths, in one head
    assert parsed == [known, known + part, known]


async def test_requests_at_once_are_answered_in_order(ask: Ask, parsed: list[bytes]) -> None:
    red, blue = request("POST", PATH, RED), request("POST", PATH, BLUE)
    assert (await ask(red)).status == 200
    assert (await ask(blue)).json["label"] == "blue" and len(parsed) == 1
    assert (await ask(red + blue)).json["label"] == "red"
    assert (await ask(b"")).json["label"] == "blue"
    assert (await ask(red)).json["label"] == "red"


async def test_limits_hold_for_it(agent: Agent, ask: Ask, parsed: list[bytes]) -> None:
    assert (await ask(request("POST", PATH, RED))).status == 200
    assert (await ask(request("POST", PATH, b""))).code == "invalid_request"
    assert (await ask(request("POST", PATH, b"no image"))).code == "unsupported_image"
    agent.bodies._limits = replace(agent.bodies._limits, max_body=len(RED) - 1)
    assert (await ask(request("POST", PATH, RED))).code == "payload_too_large"
    assert len(parsed) == 1 and agent.bodies.held == 0


async def test_an_agent_that_drains_closes(agent: Agent, ask: Ask, parsed: list[bytes]) -> None:
    assert (await ask(request("POST", PATH, RED))).status == 200
    agent.entrance.draining = True
    reply = await ask(request("POST", PATH, RED))
    assert reply.status == 200 and reply.headers["connection"] == "close"
    assert len(parsed) == 2


async def test_keys_are_asked_for_every_time(tiny_repository: Path, tmp_path: Path) -> None:
    slow = one("slow", Scope.CLASSIFY, rate=Rate(0.01, 2.0))
    async with guarded(tiny_repository, tmp_path, KeyFile((slow,))) as agent:
        sent = request("POST", PATH, RED, bearer("slow"))
        port = int(agent.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses = []
        for _ in range(3):
            writer.write(sent)
            statuses.append((await read_reply(reader)).status)
        writer.close()
    assert statuses == [200, 200, 429]
