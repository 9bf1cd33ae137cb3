"""Where all places are taken: who makes room for whom, and who is refused."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any

import pytest

from hawkvision.serving.http.connection import Connection
from hawkvision.serving.http.listener import Listener
from tests.edge_agent.agents import exchange, request, started
from tests.edge_agent.http.lines import (  # noqa: F401 - fixtures
    LIVE,
    Line,
    ask,
    connect,
    end_of,
    hang_up,
    metric,
    tls_options,
    until,
)


async def test_who_is_silent_makes_room_for_who_speaks(tiny_repository: Path) -> None:
    async with started(tiny_repository, max_connections=20) as agent:
        spoke = await connect(agent)
        assert (await ask(spoke)).status == 200
        for _ in range(19):
            await connect(agent)
        await until(lambda: agent.connections.open == 20)
        await asyncio.sleep(1.1)
        for _ in range(3):
            assert (await exchange(agent, LIVE)).status == 200
        assert (await ask(spoke)).status == 200  # the least silent goes last
        assert 1 <= agent.connections.ended["room"] <= 3
        assert await metric(agent, 'hawkvision_connections_ended_total{reason="room"}') >= 1


async def test_beyond_the_bound_the_answer_is_immediate_and_said_once(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(tiny_repository, max_connections=2) as agent:
        opened = (await exchange(agent, request("POST", "/v1/streams"))).json
        busy = [await connect(agent) for _ in range(2)]
        for line in busy:
            line[1].write(request("GET", f"/v1/streams/{opened['id']}/results"))
            await line[0].readuntil(b"retry: 1000")
        for _ in range(5):
            reply = await exchange(agent, LIVE)
            assert (reply.status, reply.code) == (503, "too_many_connections")
            assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
        assert agent.connections.refused == {"total": 5}
        assert caplog.text.count("are refused") == 1
        busy[0][1].close()
        await until(lambda: agent.connections.open == 1)
        assert (await exchange(agent, LIVE)).status == 200


async def test_one_peer_does_not_take_what_others_need(tiny_repository: Path) -> None:
    async with started(tiny_repository, max_connections=9, max_connections_per_peer=3) as agent:
        for _ in range(3):
            await connect(agent)
        await until(lambda: agent.connections.open == 3)
        refused = await ask(await connect(agent))
        assert (refused.status, refused.code) == (503, "too_many_connections")
        assert agent.connections.refused == {"peer": 1}


@pytest.fixture
def under_tls(tmp_path: Path) -> dict[str, Any]:
    return tls_options(tmp_path)


async def test_who_begins_no_handshake_makes_room_for_who_does(
    tiny_repository: Path, under_tls: dict[str, Any]
) -> None:
    trusting = under_tls.pop("trusting")
    limits = {"head_timeout_s": 120.0, "max_connections": 3}
    async with started(tiny_repository, **under_tls, **limits) as agent:
        silent = [await connect(agent) for _ in range(3)]
        silent[2][1].write(b"\x16\x03\x01\x02\x00\x01")  # a handshake that stops
        await until(lambda: agent.connections.open == 3)
        await asyncio.sleep(0.5)
        assert (await ask(await connect(agent, trusting))).status == 200
        assert await end_of(silent[0]) == b""
        assert agent.connections.ended["room"] == 1
        assert agent.connections.refused == {}
        await until(lambda: agent.connections.open == 3)


async def test_who_has_begun_is_sent_away_after_who_has_said_nothing(
    tiny_repository: Path, under_tls: dict[str, Any]
) -> None:
    trusting = under_tls.pop("trusting")
    limits = {"head_timeout_s": 120.0, "max_connections": 3}
    async with started(tiny_repository, **under_tls, **limits) as agent:
        lines = [await connect(agent)]
        lines[0][1].write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: agent.connections.open == 1)
        lines += [await connect(agent) for _ in range(2)]
        await until(lambda: agent.connections.open == 3)
        await asyncio.sleep(0.5)
        for silent in lines[1:]:
            assert (await ask(await connect(agent, trusting))).status == 200
            assert await end_of(silent) == b""
        assert not lines[0][0].at_eof()
        assert agent.connections.ended["room"] == 2


async def test_a_fresh_handshake_is_not_refused_for_fresh_silence(
    tiny_repository: Path, under_tls: dict[str, Any]
) -> None:
    trusting = under_tls.pop("trusting")
    async with started(tiny_repository, **under_tls, max_connections=3) as agent:
        for _ in range(3):
            await connect(agent)
        await until(lambda: agent.connections.open == 3)
        await asyncio.sleep(0.1)
        assert (await ask(await connect(agent, trusting))).status == 200
        assert agent.connections.refused == {}


async def test_of_many_at_once_few_are_sent_away_before_their_descriptors_are_free(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    accept = Listener._accept

    def counting(listener: Listener, *what: Any) -> None:
        before = listener._rooms
        accept(listener, *what)
        made.append(listener._rooms - before)

    monkeypatch.setattr(Listener, "_accept", counting)
    async with started(tiny_repository, max_connections=30) as agent:
        held = [await connect(agent) for _ in range(30)]
        await until(lambda: agent.connections.open == 30)
        await asyncio.sleep(0.1)
        port = int(agent.url.rpartition(":")[2])
        more = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        await until(lambda: agent.connections.ended["room"] == 30)
        assert max(made) == 8
        for line in more:
            line.close()
        assert [await end_of(line) for line in held] == [b""] * 30


async def test_who_made_room_is_not_kept(tiny_repository: Path) -> None:
    def kept() -> int:
        gc.collect()
        return sum(isinstance(one, Connection) for one in gc.get_objects())

    limits = {"idle_timeout_s": 1.0, "max_connections": 20}
    async with started(tiny_repository, **limits) as agent:
        silent = [await connect(agent) for _ in range(20)]
        await until(lambda: agent.connections.open == 20)
        await asyncio.sleep(0.3)
        assert (await exchange(agent, LIVE)).status == 200
        assert agent.connections.ended["room"] == 1
        for line in silent:
            line[1].close()
        await until(lambda: agent.connections.open == 0)
        await until(lambda: kept() < 5)


async def test_a_peer_that_begins_no_handshake_makes_room_for_its_own(
    tiny_repository: Path, under_tls: dict[str, Any]
) -> None:
    trusting = under_tls.pop("trusting")
    limits = {"max_connections": 20, "max_connections_per_peer": 2, "head_timeout_s": 120.0}
    async with started(tiny_repository, **under_tls, **limits) as agent:
        for _ in range(2):
            await connect(agent)
        await until(lambda: agent.connections.open == 2)
        await asyncio.sleep(0.5)
        assert (await ask(await connect(agent, trusting))).status == 200
        assert agent.connections.ended["room"] == 1
