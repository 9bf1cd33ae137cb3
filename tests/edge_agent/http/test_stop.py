"""A real process: told to stop, it tells who waits and ends in time; memory comes back."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.edge_agent.agents import request
from tests.models import coloured_jpeg
from tests.processes import Service, edge, free_port
from tests.redis_server import RedisServer

WITHIN_S = 5.0
"""What operators are promised."""

IMAGE = coloured_jpeg("red")
HEAD = b"POST /v1/classify?accuracy=0.5 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def connected(agent: Service, first: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=60) as line:
        line.sendall(first)
        yield line


def rest(line: socket.socket) -> bytes:
    """What comes until the agent closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while more := line.recv(65536):
            received += more
    return received


def reply(line: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes until the agent closes."""
    head, _, body = rest(line).partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def stopped(agent: Service) -> tuple[int, float]:
    """The exit status after one signal that was sent just now, and how long that took."""
    start = time.monotonic()
    status = agent.process.wait(60)
    return status, time.monotonic() - start


@pytest.fixture
def agent(tiny_repository: Path) -> Iterator[Service]:
    options = ("--body-timeout-s", "600", "--deadline-ms", "600000")
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", *options) as service:
        yield service


def test_everybody_who_waits_is_told_and_nothing_delays_the_end(agent: Service) -> None:
    opening = request("POST", "/v1/streams")
    with contextlib.ExitStack() as lines:
        enter = lines.enter_context
        opened = enter(connected(agent, opening)).recv(65536).partition(b"\r\n\r\n")[2]
        results = f"/v1/streams/{json.loads(opened)['id']}/results"
        listener = enter(connected(agent, request("GET", results)))
        while b"retry" not in listener.recv(65536):
            pass
        uploads = [enter(connected(agent, HEAD % 30_000_000 + IMAGE)) for _ in range(4)]
        finishing = enter(connected(agent, HEAD % len(IMAGE) + IMAGE[:100]))
        half = enter(connected(agent, b"GET / HTTP/1.1\r\nHos"))
        silent = enter(connected(agent, b""))
        kept = enter(connected(agent, request("GET", "/v2/health/live")))
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        over = threading.Event()

        def trickle() -> None:
            while not over.wait(0.05):
                for upload in uploads:
                    with contextlib.suppress(OSError):
                        upload.sendall(bytes(1000))

        trickling = threading.Thread(target=trickle)
        trickling.start()
        agent.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        finishing.sendall(IMAGE[100:])
        status, answer = reply(finishing)
        assert (status, json.loads(answer)["label"]) == (200, "red")
        for line in [*uploads, half]:
            status, answer = reply(line)
            assert (status, json.loads(answer)["error"]["code"]) == (503, "shutting_down")
        over.set()
        trickling.join()
        assert b"agent_stops" in rest(listener)
        for line in (silent, kept):
            assert rest(line) == b""
        status, _ = stopped(agent)
        assert (status, time.monotonic() - began < WITHIN_S) == (0, True), agent.output
    assert "Traceback" not in agent.output


def test_a_second_signal_ends_it_at_once(agent: Service) -> None:
    with connected(agent, HEAD % 30_000_000 + IMAGE):
        agent.process.send_signal(signal.SIGTERM)
        while True:
            with connected(agent, request("GET", "/v2/health/ready")) as line:
                if line.recv(65536).startswith(b"HTTP/1.1 503"):
                    break
        agent.process.send_signal(signal.SIGINT)
        assert stopped(agent)[0] == -signal.SIGINT


def test_a_frozen_store_does_not_delay_the_end(tiny_repository: Path, tmp_path: Path) -> None:
    store = RedisServer(tmp_path / "redis")
    try:
        with edge(tiny_repository, f"127.0.0.1:{free_port()}", "--store", store.url) as agent:
            with connected(agent, HEAD % len(IMAGE) + IMAGE) as line:
                assert line.recv(65536).startswith(b"HTTP/1.1 200")
            store.freeze()
            agent.process.send_signal(signal.SIGTERM)
            status, took = stopped(agent)
    finally:
        store.thaw()
        store.kill()
    assert status == 0
    assert took < WITHIN_S


def test_all_descriptors_are_used_and_the_memory_of_aborted_uploads_comes_back(
    agent: Service,
) -> None:
    process = psutil.Process(agent.process.pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard
    before = process.memory_info().rss
    with contextlib.ExitStack() as lines:
        uploads = [lines.enter_context(connected(agent, HEAD % 20_000_000)) for _ in range(20)]
        for _ in range(10):
            for upload in uploads:
                upload.sendall(bytes(2**20))
        until(lambda: process.memory_info().rss - before > 150 * 2**20)
    until(lambda: process.memory_info().rss - before < 40 * 2**20)
