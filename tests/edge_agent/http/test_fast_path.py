"""The short way says what aiohttp's way says, and leaves to that whatever is unusual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.http.fast_path import FastPath
from hawkvision.serving.http import connection
from tests.edge_agent.agents import Reply, exchange, read_reply, request, started
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red")
PATH = "/v1/classify?accuracy=0.5"
PASSED = ("request_id", "timing_ms")
"""Other every time."""


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with started(tiny_repository) as one:
        yield one


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of the requests that went the short way."""
    taken: list[str] = []
    begin = FastPath.begin

    def noted(self: FastPath, connection: Any, message: Any, payload: Any) -> None:
        taken.append(message.method)
        begin(self, connection, message, payload)

    monkeypatch.setattr(FastPath, "begin", noted)
    return taken


def chunked(path: str, body: bytes) -> bytes:
    """The same request as aiohttp answers it."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else head + b"0\r\n\r\n"


def told(reply: Reply) -> Any:
    """What a reply says, but for what differs each time."""
    body = {name: value for name, value in reply.json.items() if name not in PASSED}
    return reply.status, sorted(reply.headers), reply.headers["content-type"], body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, IMAGE),
        ("/v1/classify", IMAGE),
        (f"{PATH}&top_k=2", IMAGE),
        ("/v1/classify?accuracy=2", IMAGE),
        ("/v1/classify?x=1", IMAGE),
        ("/v1/classify?task=none", IMAGE),
        ("/v1/classify?app=none", IMAGE),
        ("/v1/classify?accuracy=0.999", IMAGE),
        (PATH, b""),
        (PATH, b"no image"),
        (PATH, IMAGE[:200]),
    ],
)
async def test_both_ways_say_the_same(
    agent: Agent, short: list[str], path: str, body: bytes
) -> None:
    fast = await exchange(agent, request("POST", path, body))
    assert short == ["POST"]
    assert told(fast) == told(await exchange(agent, chunked(path, body)))
    assert short == ["POST"]


async def test_its_bodies_have_the_same_limit(agent: Agent, short: list[str]) -> None:
    agent.bodies._limits = replace(agent.bodies._limits, max_body=len(IMAGE) - 1)
    reply = await exchange(agent, request("POST", PATH, IMAGE))
    assert (reply.status, reply.code) == (413, "payload_too_large")
    assert short == ["POST"] and agent.bodies.held == 0


@pytest.mark.parametrize(
    "head",
    [
        ("Expect: 100-continue",),
        ("Connection: close",),
        ("Content-Encoding: gzip",),
        ("Content-Type: Multipart/form-data; boundary=x",),
    ],
)
async def test_the_unusual_is_not_for_it(
    agent: Agent, short: list[str], head: tuple[str, ...]
) -> None:
    await exchange(agent, request("POST", PATH, IMAGE, *head))
    old = request("POST", PATH, IMAGE).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await exchange(agent, old)).status == 200
    assert (await exchange(agent, request("POST", "/v1/classify/", IMAGE))).status == 404
    assert not short


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
async def test_probes_are_answered_at_once(agent: Agent, short: list[str], path: str) -> None:
    fast = await exchange(agent, request("GET", path))
    slow = await exchange(agent, request("GET", f"{path}?x"))
    assert short == ["GET"]
    assert (fast.status, fast.body, set(fast.headers)) == (200, b"", set(slow.headers))
    agent.entrance.draining = agent.service.draining = True
    statuses = {"/v2/health/live": 200, "/v2/health/ready": 503}
    assert (await exchange(agent, request("GET", path))).status == statuses[path]


async def test_answers_come_in_the_order_of_the_requests(agent: Agent, short: list[str]) -> None:
    port = int(agent.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    image, live = request("POST", PATH, IMAGE), request("GET", "/v2")
    writer.write(image)
    await writer.drain()
    while not short:  # the first is at work when the others come
        await asyncio.sleep(0)
    writer.write(live + image + live)
    replies = [await read_reply(reader) for _ in range(4)]
    writer.write(image)
    replies.append(await read_reply(reader))
    writer.close()
    kinds = ["served_by" if "served_by" in one.json else "name" for one in replies]
    assert kinds == ["served_by", "name", "served_by", "name", "served_by"]
    assert short == ["POST", "POST"]


async def test_it_counts_as_in_flight_until_it_is_answered(agent: Agent, short: list[str]) -> None:
    sent = asyncio.ensure_future(exchange(agent, request("POST", PATH, IMAGE)))
    while not short:
        await asyncio.sleep(0)
    assert not agent.entrance.idle.is_set() and agent.bodies.held == len(IMAGE)
    assert (await sent).status == 200
    assert agent.entrance.idle.is_set() and agent.bodies.held == 0


async def test_an_agent_that_stops_says_so_to_who_waits(agent: Agent, short: list[str]) -> None:
    sent = asyncio.ensure_future(exchange(agent, request("POST", PATH, IMAGE)))
    while not short:
        await asyncio.sleep(0)
    agent.entrance.stop()
    reply = await sent
    assert (reply.status, reply.code) == (503, "shutting_down")
    assert reply.headers["connection"] == "close" and agent.bodies.held == 0


async def test_a_client_that_goes_leaves_nothing_behind(agent: Agent, short: list[str]) -> None:
    port = int(agent.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("POST", PATH, IMAGE))
    while not short:
        await asyncio.sleep(0)
    writer.transport.abort()
    await agent.entrance.idle.wait()
    while agent.connections.open:
        await asyncio.sleep(0)
    assert agent.bodies.held == 0


async def test_another_aiohttp_answers_everything_its_own_way(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch, short: list[str]
) -> None:
    assert connection.FITS  # else nothing above tests the short way
    monkeypatch.setattr(connection, "FITS", False)
    async with started(tiny_repository) as agent:
        reply = await exchange(agent, request("POST", PATH, IMAGE))
    assert reply.status == 200 and reply.json["label"] == "red" and not short
