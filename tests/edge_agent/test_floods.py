"""Cheap requests by the hundred: they are bounded, told so, and take nothing from others."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import edge_agent.http.tasks
from edge_agent.agent import Agent
from hawkvision.errors import Overloaded, StoreUnavailable
from hawkvision.serving.shared import AtOnce, Shared
from hawkvision.summary import summarise_task
from tests.edge_agent.agents import Reply, exchange, request, started

KEY = "g" * 20
GATE = f"Authorization: Bearer {KEY}"


async def at_once(agent: Agent, count: int, path: str) -> list[Reply]:
    return await asyncio.gather(*(exchange(agent, request("GET", path)) for _ in range(count)))


async def test_a_curve_is_computed_once_whatever_link_is_asked_for(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counting(*given: Any, **more: Any) -> Any:
        calls["summaries"] += 1
        return summarise_task(*given, **more)

    monkeypatch.setattr(edge_agent.http.tasks, "summarise_task", counting)
    async with started(tiny_repository) as agent:
        paths = [f"/v1/tasks/tiny/curve?link_ms={index / 7}" for index in range(50)]
        replies = await asyncio.gather(*(exchange(agent, request("GET", one)) for one in paths))
        task = agent.tasks["tiny"].task
    assert calls["summaries"] == 1
    assert {reply.status for reply in replies} == {200}
    found = replies[35].json
    expected = summarise_task(task, task.scores(), link_ms=5.0).as_dict()
    assert found["link_ms"] == 5.0
    for name in ("targets", "relative"):
        for row, wanted in zip(found[name], expected[name], strict=True):
            assert row["expected_ms"] == pytest.approx(wanted["expected_ms"])


async def test_many_readers_are_one_for_the_store(tiny_repository: Path) -> None:
    async with started(tiny_repository, tracking_interval_s=30.0) as agent:
        calls: Counter[str] = Counter()
        store: Any = agent.fleet.store
        real_counts, real_agents = store.counts, store.agents

        async def counts(task: str, *, window_s: float, old_s: float = 0.0) -> Any:
            calls[f"counts {window_s:g} {old_s:g}"] += 1
            return await real_counts(task, window_s=window_s, old_s=old_s)

        async def agents() -> Any:
            calls["agents"] += 1
            return await real_agents()

        store.counts, store.agents = counts, agents
        paths = ("/v1/tasks/tiny/accuracy", "/v1/agents", "/metrics")
        found = await asyncio.gather(*(at_once(agent, 60, path) for path in paths))
        assert {reply.status for replies in found for reply in replies} == {200}
        assert all(number < 30 for number in calls.values()), calls  # not once for each
        assert calls["counts 300 5"] == 1


async def test_work_is_shared_and_its_error_too() -> None:
    shared: Shared[str, int] = Shared(0.0)
    calls = 0
    go = asyncio.Event()

    async def work() -> int:
        nonlocal calls
        calls += 1
        await go.wait()
        if calls == 1:
            raise StoreUnavailable("away")
        return calls

    waiting = [asyncio.create_task(shared.get("a", work)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one goes away; the others still get theirs
    go.set()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert calls == 1 and all(isinstance(one, StoreUnavailable) for one in errors[1:])
    assert [await shared.get("a", work) for _ in range(3)] == [2, 3, 4]
    assert not shared._next and not shared._running


async def test_nobody_gets_what_was_found_out_before_they_asked() -> None:
    shared: Shared[str, int] = Shared(0.01)
    truth, begun, go = 1, asyncio.Event(), asyncio.Event()

    async def work() -> int:
        found = truth
        begun.set()
        await go.wait()
        return found

    early = asyncio.create_task(shared.get("a", work))
    await begun.wait()
    truth = 2
    late = [asyncio.create_task(shared.get("a", work)) for _ in range(5)]
    await asyncio.sleep(0.03)
    go.set()
    assert (await early, await asyncio.gather(*late)) == (1, [2] * 5)


def test_what_is_under_way_at_once_is_bounded() -> None:
    few = AtOnce(2, "things")
    with few, few, pytest.raises(Overloaded, match="2 things"), few:
        pass
    with few:
        pass


async def test_apps_are_bounded_and_told_so(tiny_repository: Path) -> None:
    body = json.dumps({"task": "tiny", "accuracy": 0.7}).encode()
    async with started(tiny_repository, max_apps=3) as agent:
        sent = [request("PUT", f"/v1/apps/a{index}", body) for index in range(5)]
        replies = [await exchange(agent, one) for one in sent]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[3].code == "limit_reached" and "DELETE" in replies[3].json["error"]["hint"]
        assert int(replies[3].headers["retry-after"]) > 0
        assert (await exchange(agent, sent[1])).status == 200
        assert len((await exchange(agent, request("GET", "/v1/apps"))).json["apps"]) == 3
        assert (await exchange(agent, request("DELETE", "/v1/apps/a0"))).status == 204
        assert (await exchange(agent, sent[4])).status == 200


# Streams.


async def opened(agent: Agent, *headers: str, app: str | None = None) -> Reply:
    body = json.dumps({} if app is None else {"app": app}).encode()
    return await exchange(agent, request("POST", "/v1/streams", body, *headers))


async def test_one_address_has_some_of_the_streams(tiny_repository: Path) -> None:
    async with started(tiny_repository, max_streams=8, max_streams_per_peer=3) as agent:
        replies = [await opened(agent) for _ in range(5)]
        assert [reply.status for reply in replies] == [201, 201, 201, 429, 429]
        assert replies[3].code == "limit_reached" and replies[3].headers["retry-after"] == "10"
        assert "--max-streams-per-peer" in replies[3].json["error"]["hint"]
        stream = replies[0].json["id"]
        assert (await exchange(agent, request("DELETE", f"/v1/streams/{stream}"))).status == 204
        assert (await opened(agent)).status == 201


async def test_a_stream_without_a_key_gives_way_to_an_app_s(
    tiny_repository: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"gate": KEY}))
    settings = {"max_streams": 4, "max_streams_per_peer": 4, "max_streams_per_app": 3}
    async with (
        started(tiny_repository, app_keys=keys, **settings) as agent,
        aiohttp.ClientSession() as session,
    ):
        first = (await opened(agent)).json["id"]
        async with session.get(f"{agent.url}/v1/streams/{first}/results") as events:
            assert [(await opened(agent)).status for _ in range(4)] == [201, 201, 201, 429]
            assert [(await opened(agent, GATE)).status for _ in range(4)] == [201, 201, 201, 429]
            assert b"gave_way" in await events.content.read()
        assert (await opened(agent)).status == 503  # none is silent
        assert agent.streams.open_streams == 4
        assert agent.streams.totals.ended == {"gave_way": 3}
