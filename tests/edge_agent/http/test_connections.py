"""Connections over real sockets: silence, half heads and unread answers cost others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config import EdgeConfig
from edge_agent.grpc.limits import CONNECTIONS
from edge_agent.settings import connection_limits
from hawkvision.serving.http.connections import Book, ConnectionLimits, Seat
from hawkvision.serving.peers import LOOPBACK
from tests.edge_agent.agents import exchange, read_reply, request, started
from tests.edge_agent.http.lines import (  # noqa: F401 - fixtures
    LIVE,
    Line,
    ask,
    connect,
    end_of,
    hang_up,
    tls_options,
    until,
)


async def test_who_says_nothing_is_sent_away(tiny_repository: Path) -> None:
    async with started(tiny_repository, head_timeout_s=0.1) as agent:
        assert await end_of(await connect(agent)) == b""
        await until(lambda: agent.connections.open == 0)
        assert agent.connections.ended["head_timeout"] == 1


@pytest.mark.parametrize("first", [b"", LIVE])
async def test_a_head_that_comes_byte_by_byte_has_a_time(
    tiny_repository: Path, first: bytes
) -> None:
    async with started(tiny_repository, head_timeout_s=0.3) as agent:
        line = await connect(agent)
        if first:
            assert (await ask(line, first)).status == 200

        async def dribble() -> None:
            line[1].write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
            with contextlib.suppress(ConnectionError):
                while True:
                    line[1].write(b"y")
                    await line[1].drain()
                    await asyncio.sleep(0.01)

        dribbling = asyncio.create_task(dribble())
        async with asyncio.timeout(60):
            reply = await read_reply(line[0])
        assert (reply.status, reply.code) == (408, "request_timeout")
        dribbling.cancel()


async def test_between_requests_a_connection_may_be_silent_for_a_time(
    tiny_repository: Path,
) -> None:
    async with started(tiny_repository, idle_timeout_s=0.1) as agent:
        line = await connect(agent)
        assert (await ask(line)).status == 200
        assert await end_of(line) == b""
        assert agent.connections.ended["idle"] == 1


async def test_a_request_under_way_outlives_the_times_of_heads_and_silence(
    tiny_repository: Path,
) -> None:
    async with started(tiny_repository, head_timeout_s=0.05, idle_timeout_s=0.05) as agent:
        line = await connect(agent)
        opened = await ask(line, request("POST", "/v1/streams"))
        line = await connect(agent)
        line[1].write(request("GET", f"/v1/streams/{opened.json['id']}/results"))
        await line[0].readuntil(b"retry: 1000")
        await asyncio.sleep(0.3)
        await exchange(agent, request("DELETE", f"/v1/streams/{opened.json['id']}"))
        assert b"event: end" in await end_of(line)


async def test_a_client_that_never_reads_its_answers_is_cut_off(tiny_repository: Path) -> None:
    async with started(tiny_repository, write_timeout_s=0.2) as agent:
        port = int(agent.url.rpartition(":")[2])
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.setblocking(False)
            asked = request("GET", "/v1/tasks") * 500
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(60):
                    while not agent.connections.ended["write_timeout"]:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(0.1):
                                await loop.sock_sendall(deaf, asked)
            await until(lambda: agent.connections.ended["write_timeout"] == 1)
        await until(lambda: agent.connections.open == 0 and agent.entrance.idle.is_set())


async def test_a_listener_that_stops_reading_is_cut_off(tiny_repository: Path) -> None:
    async with started(tiny_repository, write_timeout_s=0.2) as agent:
        opened = (await exchange(agent, request("POST", "/v1/streams"))).json
        stream = agent.streams.get(opened["id"])
        line = await connect(agent)
        line[1].write(request("GET", f"/v1/streams/{opened['id']}/results"))
        await line[0].readuntil(b"retry: 1000")
        line[1].transport.pause_reading()  # type: ignore[attr-defined]
        queue = next(iter(stream.events._listeners))

        class Long:
            number, name, data = 1, "result", {"text": "x" * 200_000}

        async with asyncio.timeout(60):
            while stream.events.listeners:
                if not queue.full():
                    queue.put_nowait(Long())  # type: ignore[arg-type]
                await asyncio.sleep(0.01)
        assert agent.connections.ended["write_timeout"] == 1


@pytest.fixture
def under_tls(tmp_path: Path) -> dict[str, Any]:
    return tls_options(tmp_path)


async def test_handshakes_that_never_end_are_counted_and_ended(
    tiny_repository: Path, under_tls: dict[str, Any]
) -> None:
    trusting = under_tls.pop("trusting")
    limits = {"head_timeout_s": 0.3, "max_connections": 3}
    async with started(tiny_repository, **under_tls, **limits) as agent:
        silent = [await connect(agent) for _ in range(3)]
        await until(lambda: agent.connections.ended["handshake"] == 3)
        for line in silent:
            assert await end_of(line) == b""
        await until(lambda: agent.connections.open == 0)
        assert (await ask(await connect(agent, trusting))).status == 200


async def test_renegotiation_is_refused(tiny_repository: Path, under_tls: dict[str, Any]) -> None:
    under_tls.pop("trusting")
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    async with started(tiny_repository, **under_tls) as agent:
        child = await asyncio.create_subprocess_exec(
            *(program, "s_client", "-tls1_2", "-connect", agent.url.partition("//")[2]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await child.communicate(b"R\n")
        assert b"RENEGOTIATING" in said
        assert b"no renegotiation" in said
        assert b"Cipher is" in said.partition(b"RENEGOTIATING")[0]
        await until(lambda: agent.connections.open == 0)


async def test_who_hangs_up_while_it_asks_is_no_fault_of_ours(
    tiny_repository: Path, under_tls: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    trusting = under_tls.pop("trusting")
    async with started(tiny_repository, **under_tls) as agent:
        for _ in range(30):
            _, writer = await connect(agent, trusting)
            writer.write(request("POST", "/v1/streams", b"{}"))
            await asyncio.sleep(0)
            writer.transport.abort()
        await until(lambda: agent.connections.open == 0)
        assert (await ask(await connect(agent, trusting))).status == 200
    assert "unexpected error" not in caplog.text


async def test_without_descriptors_the_listener_neither_spins_nor_ends(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(tiny_repository) as agent:
        line = await connect(agent)
        assert (await ask(line)).status == 200
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        client.setblocking(False)
        used = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
            with pytest.raises(OSError) as full:
                while True:
                    used.append(os.open(os.devnull, os.O_RDONLY))
            assert full.value.errno == errno.EMFILE
            port = int(agent.url.rpartition(":")[2])
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            received = await asyncio.get_running_loop().sock_recv(client, 4096)
            assert received.startswith(b"HTTP/1.1 503 ")
            assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == (
                "too_many_connections"
            )
            assert (await ask(line)).status == 200
        finally:
            for one in used:
                os.close(one)
            client.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caplog.text.count("Too many open files") == 1
        assert (await exchange(agent, LIVE)).status == 200


def limits(**options: Any) -> ConnectionLimits:
    given = {"descriptors": 1024, "most": None, "most_each": None}
    times = {"head_s": 1.0, "idle_s": 1.0, "write_s": 1.0}
    return ConnectionLimits.fitting(**(given | times | options))


def test_limits_leave_descriptors_for_the_rest() -> None:
    assert limits().most == 1024 - 128
    assert limits(most=5000).most == 1024 - 128
    assert limits(most=50).most == 50
    assert limits(descriptors=100).most == 50
    assert limits(descriptors=2**20).most == 4096
    assert limits().of_peer("192.0.2.1") == 224
    assert limits().of_peer(LOOPBACK) == 896
    assert limits(most_each=7).of_peer(LOOPBACK) == 7


def test_connections_of_the_grpc_port_have_descriptors_of_their_own() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        assert connection_limits(EdgeConfig()).most == 1024 - 128
        assert connection_limits(EdgeConfig(grpc_port=0)).most == 1024 - 128 - CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_the_book_knows_who_is_here(steps: list[tuple[bool, str]]) -> None:
    book = Book(limits(most=12))
    seats: list[Seat] = []
    for comes, peer in steps:
        if comes and not book.full and not book.full_for(peer):
            seats.append(book.enter(peer, seats.remove))
        elif seats:
            seat = seats[0]
            seat.leave()
            seat.leave()
        assert book.open == len(seats) <= 12
        for one in "abc":
            held = sum(seat.peer == one for seat in seats)
            assert held <= 3
            assert book.full_for(one) is (held == 3)
