"""Edge agent and gateway as real processes: escalation, outage, overload, drain."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port, gateway

LABELS = ("red", "green", "blue", "grey")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def pair(repository: Path) -> Iterator[tuple[Service, Service]]:
    with gateway(repository) as dc, edge(repository, dc.address) as agent:
        yield agent, dc


def photos(count: int) -> list[tuple[str, bytes]]:
    return [(LABELS[i % 4], coloured_jpeg(LABELS[i % 4], seed=i)) for i in range(count)]


async def ask(
    session: aiohttp.ClientSession, agent: Service, image: bytes, accuracy: float
) -> tuple[int, dict[str, Any]]:
    url = f"http://{agent.address}/v1/classify?accuracy={accuracy}"
    async with session.post(url, data=image) as reply:
        return reply.status, await reply.json()


async def highest(session: aiohttp.ClientSession, agent: Service) -> float:
    async with session.get(f"http://{agent.address}/v1/tasks") as reply:
        return float((await reply.json())["tasks"][0]["highest_certifiable"])


async def test_escalation_rises_with_the_target_and_pays(pair: tuple[Service, Service]) -> None:
    agent, _ = pair
    async with aiohttp.ClientSession() as session:
        top = await highest(session, agent)
        rates, shares = [], []
        for accuracy in (0.3, top):
            answers = [
                (label, (await ask(session, agent, image, accuracy))[1])
                for label, image in photos(120)
            ]
            rates.append(sum(answer["escalated"] for _, answer in answers))
            shares.append(sum(answer["label"] == label for label, answer in answers))
            assert all(answer["degraded"] is None for _, answer in answers)
    assert rates[0] < rates[1]
    assert shares[0] < shares[1]


async def test_an_escalated_answer_says_so(pair: tuple[Service, Service]) -> None:
    agent, _ = pair
    async with aiohttp.ClientSession() as session:
        top = await highest(session, agent)
        answers = [(await ask(session, agent, image, top))[1] for _, image in photos(60)]
    escalated = next(answer for answer in answers if answer["escalated"])
    assert escalated["served_by"] == "dc"
    assert escalated["accuracy"]["certified"] is True
    assert escalated["timing_ms"]["escalate"] > 0


async def test_killing_the_gateway_under_load_fails_no_request_and_its_return_is_noticed(
    repository: Path,
) -> None:
    port = free_port()
    images = photos(40)
    async with aiohttp.ClientSession() as session:
        with gateway(repository, port=port) as dc, edge(repository, dc.address) as agent:
            top = await highest(session, agent)
            answers: list[tuple[float, int, dict[str, Any]]] = []
            stop = asyncio.Event()

            async def client(offset: int) -> None:
                number = offset
                while not stop.is_set():
                    _, image = images[number % len(images)]
                    status, body = await ask(session, agent, image, top)
                    answers.append((time.monotonic(), status, body))
                    number += 1

            clients = [asyncio.create_task(client(index)) for index in range(4)]
            await asyncio.sleep(1.0)
            dc.process.kill()
            await asyncio.to_thread(dc.process.wait)
            await asyncio.sleep(2.0)
            with gateway(repository, port=port):
                back = time.monotonic()
                await asyncio.sleep(5.5)
                stop.set()
                await asyncio.gather(*clients)
    assert {status for _, status, _ in answers} == {200}
    degraded = {body["degraded"] for _, _, body in answers}
    assert "dc_unreachable" in degraded
    assert degraded <= {None, "dc_unreachable", "deadline"}
    assert all(not b["accuracy"]["certified"] for _, _, b in answers if b["degraded"])
    assert any(b["escalated"] for t, _, b in answers if t - back < 5.0 and t > back)


async def test_a_deadline_too_short_for_the_way_up_gives_the_edge_answer(
    pair: tuple[Service, Service],
) -> None:
    agent, _ = pair
    async with aiohttp.ClientSession() as session:
        top = await highest(session, agent)
        bodies = []
        for _, image in photos(60):
            url = f"http://{agent.address}/v1/classify?accuracy={top}&deadline_ms=1"
            async with session.post(url, data=image) as reply:
                assert reply.status == 200
                bodies.append(await reply.json())
    assert {body["degraded"] for body in bodies} == {None, "deadline"}


async def test_overload_is_refused_at_once_with_retry_after(repository: Path) -> None:
    dead = f"127.0.0.1:{free_port()}"
    image = coloured_jpeg("red", size=(2400, 1800))
    options = ("--threads", "1", "--max-queue", "1")
    async with aiohttp.ClientSession() as session:
        with edge(repository, dead, *options) as agent:

            async def one() -> tuple[int, str | None]:
                url = f"http://{agent.address}/v1/classify?accuracy=0.3"
                async with session.post(url, data=image) as reply:
                    await reply.read()
                    return reply.status, reply.headers.get("Retry-After")

            replies = await asyncio.gather(*(one() for _ in range(40)))
    assert {status for status, _ in replies} == {200, 503}
    assert all(after == "1" for status, after in replies if status == 503)


async def test_sigterm_under_load_turns_ready_false_and_loses_no_answer(
    repository: Path,
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    image = coloured_jpeg("red", size=(800, 600))
    with edge(repository, dead) as agent:
        outcomes: list[str] = []
        seen_not_ready = asyncio.Event()

        async def client() -> None:
            async with aiohttp.ClientSession() as session:
                while not seen_not_ready.is_set():
                    try:
                        status, _ = await ask(session, agent, image, 0.3)
                        outcomes.append(str(status))
                    except aiohttp.ClientError as error:
                        outcomes.append(repr(error))

        clients = [asyncio.create_task(client()) for _ in range(8)]
        await asyncio.sleep(0.7)
        start = time.monotonic()
        agent.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.4)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{agent.address}/v2/health/ready") as reply,
        ):
            ready = reply.status
        seen_not_ready.set()
        status = await asyncio.to_thread(agent.process.wait, 10)
        elapsed = time.monotonic() - start
        await asyncio.gather(*clients)
    assert ready == 503
    assert status == 0
    assert elapsed < 5
    assert set(outcomes) == {"200"}


def test_a_taken_port_is_one_clear_line(repository: Path) -> None:
    dead = f"127.0.0.1:{free_port()}"
    with edge(repository, dead) as first, pytest.raises(AssertionError, match="cannot listen"):
        start_second = edge(repository, dead, port=first.port)
        start_second.__enter__()
