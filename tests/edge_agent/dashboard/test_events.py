"""What the page is told: by an agent alone, and by one of several workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.agent import Agent
from edge_agent.dashboard.dashboard import MOST_LISTENERS
from edge_agent.fleet.delivered import WINDOWS
from hawkvision.errors import LimitReached
from tests.edge_agent.agents import exchange, gateway_of, request, started
from tests.models import LABELS, coloured_jpeg
from tests.processes import HANGS_S, edge, free_port

PATH = "/v1/dashboard/events"


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{PATH}") as reply:
        assert reply.status == 200, await reply.text()
        assert reply.headers["Content-Type"] == "text/event-stream"
        yield events(reply)


async def events(reply: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    buffer = b""
    async for part in reply.content.iter_any():
        *lines, buffer = (buffer + part).split(b"\n")
        for line in lines:
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])


async def send(url: str, count: int, query: str = "accuracy=0.5") -> list[Any]:
    given = []
    async with aiohttp.ClientSession() as session:
        for index in range(count):
            image = coloured_jpeg(LABELS[index % 4], seed=index + 1)
            async with session.post(f"{url}/v1/classify?{query}", data=image) as reply:
                assert reply.status == 200, await reply.text()
                given.append(await reply.json())
    return given


async def until_answers(url: str, count: int) -> dict[str, Any]:
    """What was told once so many answers are in it, added up over the seconds."""
    seen: dict[int, float] = {}
    async with asyncio.timeout(HANGS_S), listening(url) as told:
        async for _, data in told:
            seen |= dict(zip(data["seconds"]["t"], data["seconds"]["rate"], strict=True))
            if sum(seen.values()) >= count:
                assert sum(seen.values()) == count
                return dict(data)
    raise AssertionError("the agent ended the events")


async def test_who_comes_is_told_all_then_every_second(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent, listening(agent.url) as told:
        names = []
        async for name, data in told:
            names.append(name)
            assert data["tasks"][0]["name"] == "tiny"
            if len(names) == 3:
                break
    assert names == ["whole", "now", "now"]


async def test_answers_are_counted_and_shown(tiny_repository: Path) -> None:
    async with (
        gateway_of(tiny_repository) as gateway,
        started(tiny_repository, gateway=gateway) as agent,
    ):
        given = await send(agent.url, 12)
        data = await until_answers(agent.url, 12)
    shown = [(one["label"], one["served_by"]) for one in data["answers"]]
    assert shown == [(one["label"], one["served_by"]) for one in given]
    assert data["last_minute"]["p50_ms"] > 0
    if data["last_seconds"] < 60:  # rates times seconds are what came, from the start on
        assert data["last_minute"]["rate"] * data["last_seconds"] == pytest.approx(12, abs=0.5)
    [series] = data["thresholds"]
    assert (series["task"], series["target"]) == ("tiny", "0.5")


async def test_no_picture_leaves_an_agent_that_was_not_asked_to(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        await send(agent.url, 2)
        data = await until_answers(agent.url, 2)
    assert all("picture" not in one for one in data["answers"])


async def test_small_pictures_are_shown_where_they_are_asked_for(tiny_repository: Path) -> None:
    async with started(tiny_repository, dashboard_images=1) as agent:
        await send(agent.url, 3)
        data = await until_answers(agent.url, 3)
    pictures = [one.get("picture") for one in data["answers"]]
    assert pictures[:-1] == [None, None] and pictures[-1].startswith("data:image/jpeg;base64,")


async def test_without_listeners_nothing_is_computed(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tiny_repository) as agent:
        assert agent.dashboard is not None
        asked: list[str] = []
        read = agent.fleet.delivered

        async def reading(*given: Any) -> Any:
            if given[2] is WINDOWS:  # the metrics ask for one of them
                asked.append(given[0])
            return await read(*given)

        monkeypatch.setattr(agent.fleet, "delivered", reading)
        for _ in range(3):
            await agent.dashboard.look()
        assert asked == []
        async with listening(agent.url) as told:
            assert (await anext(told))[0] == "whole"
        assert asked == ["tiny@1"]


async def test_an_agent_that_counts_nothing_says_so(tiny_repository: Path) -> None:
    async with started(tiny_repository, store="off") as agent:
        await send(agent.url, 2)
        data = await until_answers(agent.url, 2)
    assert (data["tracked"], data["store"]["kind"]) == (False, "off")
    assert data["tasks"][0]["targets"] == []


async def test_listeners_are_bounded(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent, AsyncExitStack() as stack:
        for _ in range(MOST_LISTENERS):
            told = await stack.enter_async_context(listening(agent.url))
            await anext(told)
        reply = await exchange(agent, request("GET", PATH))
        assert (reply.status, reply.code) == (429, LimitReached.code)


async def test_who_only_asks_for_the_head_listens_to_nothing(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        reply = await exchange(agent, request("HEAD", PATH))
    assert reply.status == 200


async def test_who_went_away_makes_room(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        for _ in range(MOST_LISTENERS + 2):
            async with asyncio.timeout(HANGS_S):
                while await refused(agent):
                    await asyncio.sleep(0.1)


async def refused(agent: Agent) -> bool:
    """Whether there was no room to listen; who was let in goes away at once."""
    async with aiohttp.ClientSession() as session, session.get(f"{agent.url}{PATH}") as reply:
        return reply.status == 429


async def test_an_agent_that_stops_is_not_held_up(tiny_repository: Path) -> None:
    async with (
        started(tiny_repository, drain_timeout_s=HANGS_S) as agent,
        listening(agent.url) as told,
    ):
        await anext(told)
        async with asyncio.timeout(HANGS_S / 2):
            await agent.drain()
            assert {name async for name, _ in told} <= {"now"}


async def test_workers_of_a_service_are_shown_as_one(tiny_repository: Path) -> None:
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", "--workers", "2") as service:
        url = f"http://{service.address}"
        await asyncio.gather(*(send(url, 5) for _ in range(4)))
        data = await until_answers(url, 20)
    assert data["workers"] == 2
    assert len({one["number"] for one in data["answers"]}) == len(data["answers"]) == 20
