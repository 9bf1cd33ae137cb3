"""`hawkvision edge --workers N`: real processes that are one service, whatever ends one of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream
from hawkvision.errors import HawkVisionError, UnknownStream
from hawkvision.repository import shipped_repository
from tests.edge_agent.agents import request
from tests.edge_agent.test_tracking import settled
from tests.lossy.photos import jpeg
from tests.models import LABELS, coloured_jpeg
from tests.processes import Service, edge, free_port
from tests.redis_server import RedisServer

_PATIENCE_S = 60.0
WITHIN_S = 5.0
CONNECTIONS = 6


def until(holds: Callable[[], bool], patience_s: float = _PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers_of(service: Service) -> list[psutil.Process]:
    return sorted(psutil.Process(service.process.pid).children(), key=lambda one: one.pid)


def get(service: Service, path: str) -> Any:
    """Over a connection of its own, so of whichever worker it comes to."""
    with urllib.request.urlopen(f"http://{service.address}{path}", timeout=10) as reply:
        return reply.read()


def sample(service: Service, name: str) -> float:
    """The sum of a metric's samples."""
    text = get(service, "/metrics").decode()
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


async def send(service: Service, count: int, connections: int = CONNECTIONS) -> int:
    """Requests over several connections at a time; how many were answered."""

    async def some(number: int) -> int:
        answered = 0
        async with aiohttp.ClientSession() as session:
            for index in range(number, count, connections):
                image = coloured_jpeg(LABELS[index % 4], seed=index + 1)
                url = f"http://{service.address}/v1/classify?accuracy=0.5"
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.post(url, data=image) as reply:
                        assert reply.status == 200, await reply.text()
                        await reply.read()
                        answered += 1
        return answered

    return sum(await asyncio.gather(*(some(number) for number in range(connections))))


def requests_of(service: Service) -> float:
    window = json.loads(get(service, "/v1/tasks/tiny/accuracy"))["windows"]["1h"]
    return float(window["requests"])


@pytest.fixture
def three(tiny_repository: Path) -> Iterator[Service]:
    options = ("--workers", "3", "--tracking-interval-s", "0.1")
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", *options) as service:
        yield service


def test_any_worker_answers_for_all(three: Service) -> None:
    assert asyncio.run(send(three, 60, connections=12)) == 60
    until(lambda: requests_of(three) == 60)
    for _ in range(8):
        assert sample(three, "hawkvision_answers_total") == 60
        assert sample(three, "hawkvision_request_seconds_count") == 60
        assert sample(three, "hawkvision_workers") == 3
        assert requests_of(three) == 60
    ids = {one["agent_id"] for one in json.loads(get(three, "/v1/agents"))["agents"]}
    assert {name.rpartition("-")[2] for name in ids} == {"0", "1", "2"}
    assert len(workers_of(three)) == 3


def test_a_killed_worker_is_replaced_and_nothing_that_was_shown_goes_back(three: Service) -> None:
    asyncio.run(send(three, 30))
    until(lambda: requests_of(three) == 30)
    victims = workers_of(three)
    shown = sample(three, "hawkvision_answers_total")
    for victim in victims:
        victim.kill()
        until(lambda victim=victim: not victim.is_running())  # type: ignore[misc]
        until(lambda: sample_or_none(three, "hawkvision_workers") == 3)
        assert sample(three, "hawkvision_answers_total") >= shown == 30
    assert sample(three, "hawkvision_worker_ends_total") == 3
    assert b'cause="signal 9 (SIGKILL)"' in get(three, "/metrics")
    assert not {one.pid for one in victims} & {one.pid for one in workers_of(three)}
    assert asyncio.run(send(three, 30)) == 30
    until(lambda: requests_of(three) == 60)
    assert sample(three, "hawkvision_answers_total") == 60
    assert re.search(r"WARNING.*worker \d ended, signal 9 \(SIGKILL\); again in", three.output)


def sample_or_none(service: Service, name: str) -> float | None:
    try:
        return sample(service, name)
    except OSError:  # a connection that the killed one had not accepted yet
        return None


def test_whichever_worker_is_scraped_says_what_the_store_knows(three: Service) -> None:
    asyncio.run(send(three, 30))
    until(lambda: requests_of(three) == 30)
    for _ in range(12):
        assert sample(three, "hawkvision_accuracy") > 0


def test_a_few_long_connections_are_shared_out(three: Service) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            line = socket.create_connection(("127.0.0.1", three.port), timeout=_PATIENCE_S)
            stack.enter_context(line)
            line.sendall(request("GET", "/v2/health/live"))
            assert line.recv(65536).startswith(b"HTTP/1.1 200")
        workers = workers_of(three)

        def held() -> list[int]:  # who hands one over closes its own copy of it a moment later
            return [
                sum(one.status == "ESTABLISHED" for one in worker.net_connections("tcp"))
                for worker in workers
            ]

        until(lambda: held() == [3, 3, 3])


@asynccontextmanager
async def anew(method: str, url: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """A request over a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **options) as reply,
    ):
        yield reply


def test_apps_and_feedback_are_known_to_all_at_once(three: Service) -> None:
    async def talk() -> None:
        base = f"http://{three.address}"
        for number in range(8):
            target = {"task": "tiny", "accuracy": 0.6}
            async with anew("PUT", f"{base}/v1/apps/app{number}", json=target) as reply:
                assert reply.status == 200
            image = coloured_jpeg("red", 1)
            path = f"{base}/v1/classify?app=app{number}"
            async with anew("POST", path, data=image) as reply:
                assert reply.status == 200
                answer = await reply.json()
            counted = []
            for _ in range(3):
                feedback = {"request_id": answer["request_id"], "label": "red"}
                async with anew("POST", f"{base}/v1/feedback", json=feedback) as reply:
                    assert reply.status == 202, await reply.text()
                    counted.append((await reply.json())["counted"])
            assert counted == [True, False, False]

    asyncio.run(talk())


async def test_a_stream_is_reached_through_any_worker_and_outlives_the_others() -> None:
    more = ("--task", "imagenette", "--workers", "3")
    with edge(shipped_repository(), f"127.0.0.1:{free_port()}", *more) as service:
        base = f"http://{service.address}"
        async with contextlib.AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(
                    LossyStream.open(base, accuracy=0.5, deadline_ms=3000.0)
                )
                for _ in range(6)
            ]
            for stream in streams:  # from ports of their own, so to whichever worker
                assert (await stream.classify(jpeg(1))).complete
                assert stream.offer.ssrc % 3 == owner_of(stream)
            kept = [one for one in streams if owner_of(one) == owner_of(streams[0])]
            for index, worker in enumerate(workers_of(service)):
                if index != owner_of(streams[0]):
                    worker.kill()
            answered = 0
            for seed in range(10):
                for stream in kept:
                    with contextlib.suppress(HawkVisionError):  # what was under way is lost
                        answered += (await stream.classify(jpeg(seed))).complete
            assert answered >= 8 * len(kept)
            until(lambda: sample_or_none(service, "hawkvision_workers") == 3)
            for _ in range(6):
                async with AsyncClient(base) as client:
                    status = await client.stream_status(kept[0].offer.id)
                    assert status.frames.answered >= 9
                    for stream in streams:
                        if stream not in kept:
                            with pytest.raises(UnknownStream):
                                await client.stream_status(stream.offer.id)


def owner_of(stream: LossyStream) -> int:
    return int(stream.offer.id.partition(".")[0])


async def test_events_of_a_stream_are_passed_on_as_they_happen_and_end_with_it() -> None:
    more = ("--task", "imagenette", "--workers", "2")
    with edge(shipped_repository(), f"127.0.0.1:{free_port()}", *more) as service:
        base = f"http://{service.address}"
        async with (
            LossyStream.open(base, accuracy=0.5, deadline_ms=3000.0) as stream,
            contextlib.AsyncExitStack() as stack,
        ):
            followers, answered = [], [asyncio.Event() for _ in range(8)]
            for seen in answered:  # a connection each, to either worker
                client = await stack.enter_async_context(AsyncClient(base))
                followers.append(asyncio.create_task(followed(client, stream.offer.id, seen)))
            await stream.classify(jpeg(1))
            async with asyncio.timeout(30):
                for seen in answered:
                    await seen.wait()
            async with AsyncClient(base) as client:
                await client.close_stream(stream.offer.id)
            for follower in followers:
                assert await asyncio.wait_for(follower, 20) == ["FrameResult", "StreamEnd"]


async def followed(client: AsyncClient, stream_id: str, answered: asyncio.Event) -> list[str]:
    kinds = []
    async for event in client.stream_events(stream_id, after=0):
        kinds.append(type(event).__name__)
        if kinds[-1] == "FrameResult":
            answered.set()
    return [kind for kind in kinds if kind != "Advice"]


def test_a_signal_ends_all_within_five_seconds(three: Service) -> None:
    workers = workers_of(three)
    began = time.monotonic()
    assert three.terminate() == 0
    assert time.monotonic() - began < WITHIN_S
    assert not any(one.is_running() for one in workers)
    assert "killed" not in three.output


def test_workers_do_not_outlive_a_killed_parent(three: Service) -> None:
    workers = workers_of(three)
    three.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=_PATIENCE_S)
    assert alive == []


def test_a_second_signal_ends_all_at_once(three: Service) -> None:
    workers = workers_of(three)
    three.process.send_signal(signal.SIGTERM)
    until(lambda: "drain begins" in three.output)
    three.process.send_signal(signal.SIGINT)
    assert three.process.wait(_PATIENCE_S) == -signal.SIGINT
    assert not any(one.is_running() for one in workers)


def words(repository: Path, port: int, *more: str) -> list[str]:
    command = [sys.executable, "-m", "hawkvision.cli", "edge", "--port", str(port)]
    return [*command, "--workers", "2", "--model-repository", str(repository), *more]


def test_sigterm_during_the_start_leaves_nothing(tiny_repository: Path) -> None:
    for pause_s in (0.3, 1.0, 1.5):
        process = subprocess.Popen(
            words(tiny_repository, 0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause_s)
        family = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE_S) in (0, -signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=_PATIENCE_S)
        assert alive == []


def test_what_cannot_start_ends_the_parent_with_its_reason(
    tiny_repository: Path, tmp_path: Path, three: Service
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("[1]")
    for more, port, said in (
        (("--app-keys", str(keys)), 0, "holds no keys"),
        (("--keys", str(keys)), 0, "unknown table"),
        (("--host", "0.0.0.0"), 0, "without TLS and without keys"),
        (("--store", "nothing://x"), 0, "is no address of a store"),
        ((), three.port, "cannot listen on 127.0.0.1"),
        (("--rtp-port", str(three.port)), 0, "cannot listen on UDP"),
    ):
        done = subprocess.run(
            words(tiny_repository, port, *more), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


async def send_and_kill(service: Service, count: int) -> int:
    """As `send`, and a worker is killed meanwhile, with what it counted in the last moment."""

    async def kill() -> None:
        await asyncio.sleep(0.1)
        workers_of(service)[1].kill()

    answered, _ = await asyncio.gather(send(service, count), kill())
    return answered


def test_three_workers_count_to_the_unit_whatever_happens(
    tiny_repository: Path, tmp_path: Path
) -> None:
    """Requests are answered while Redis is away and a worker is killed."""
    server, journal = RedisServer(tmp_path / "redis"), tmp_path / "journal.db"
    more = ("--store", server.url, "--journal", str(journal), "--audit-share", "0")
    dead = f"127.0.0.1:{free_port()}"

    def options(workers: int) -> tuple[str, ...]:
        return (*more, "--workers", str(workers))

    try:
        with edge(tiny_repository, dead, *options(3)) as service:
            sent = asyncio.run(send(service, 60))
            assert settled(server.url, sent) == sent
            server.kill()
            sent += asyncio.run(send(service, 90))
            sent += asyncio.run(send_and_kill(service, 400))
            until(lambda: sample_or_none(service, "hawkvision_workers") == 3)
            sent += asyncio.run(send(service, 30))
            server.start()
            counted = settled(server.url, sent + 1, patience_s=3.0)
            assert sent <= counted <= sent + CONNECTIONS  # an answer may be lost on its way
            sent = int(counted)
            server.kill()
            sent += asyncio.run(send(service, 60))
            assert service.terminate() == 0
        assert sorted(tmp_path.glob("journal-?.db")) == [
            tmp_path / f"journal-{index}.db" for index in range(3)
        ]
        server.start()
        with edge(tiny_repository, dead, *options(2)) as service:  # with one journal too many
            assert settled(server.url, sent) == sent
            assert not (tmp_path / "journal-2.db").exists()
            server.kill()
            sent += asyncio.run(send(service, 20))
            assert service.terminate() == 0
        server.start()
        with edge(tiny_repository, dead, *more):
            assert settled(server.url, sent) == sent
            assert list(tmp_path.glob("journal-?.db")) == []
    finally:
        server.kill()
