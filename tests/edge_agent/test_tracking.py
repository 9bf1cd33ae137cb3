"""Apps, feedback and delivered accuracy over HTTP; a fleet that shares a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.redis import RedisStore
from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port, gateway
from tests.redis_server import RedisServer

Body = dict[str, Any]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def agent(repository: Path) -> Iterator[Service]:
    options = ("--audit-share", "0.5", "--tracking-interval-s", "0.1")
    with gateway(repository) as dc, edge(repository, dc.address, *options) as service:
        yield service


async def call(
    session: aiohttp.ClientSession, method: str, service: Service, path: str, **options: Any
) -> tuple[int, Body]:
    async with session.request(method, f"http://{service.address}{path}", **options) as reply:
        body = await reply.json() if reply.content_length else {}
        return reply.status, body


async def classify(
    session: aiohttp.ClientSession, service: Service, index: int, query: str = "accuracy=0.6"
) -> Body:
    image = coloured_jpeg(LABELS[index % 4], seed=index + 1)
    status, body = await call(session, "POST", service, f"/v1/classify?{query}", data=image)
    assert status == 200, body
    return body


async def accuracy_when(
    session: aiohttp.ClientSession, service: Service, path: str, key: str, wanted: float
) -> Body:
    """The 5-minute window once a count has reached what is wanted."""
    window: Body = {}
    for _ in range(100):
        _, body = await call(session, "GET", service, path)
        window = body["windows"].get("5m", {})
        if window.get(key, 0) >= wanted:
            return body
        await asyncio.sleep(0.1)
    raise AssertionError(f"{key} stays at {window}")


async def test_an_app_s_target_is_used_and_its_accuracy_reported(agent: Service) -> None:
    async with aiohttp.ClientSession() as session:
        target = {"task": "tiny", "accuracy": 0.7, "deadline_ms": 500}
        assert (await call(session, "PUT", agent, "/v1/apps/gate", json=target))[0] == 200
        assert (await call(session, "GET", agent, "/v1/apps/gate"))[1] == {"app": "gate", **target}
        answers = [await classify(session, agent, index, "app=gate") for index in range(60)]
        assert {answer["accuracy"]["target"] for answer in answers} == {0.7}
        body = await accuracy_when(session, agent, "/v1/apps/gate/accuracy", "requests", 60)
        window = body["windows"]["5m"]
        assert window["requests"] == 60 and list(window["targets"]) == ["0.7"]
        escalated = sum(answer["escalated"] for answer in answers)
        assert window["escalation_rate"] == escalated / 60
        assert window["estimates"]["prediction"]["n"] == 60
        assert body["threshold"] >= body["certified_threshold"]
        assert body["store"]["available"]
        status, _ = await call(session, "GET", agent, "/v1/apps/other/accuracy")
        assert status == 404
        assert (await call(session, "DELETE", agent, "/v1/apps/gate"))[0] == 204
        assert (await call(session, "DELETE", agent, "/v1/apps/gate"))[0] == 404
        image = coloured_jpeg("red", 1)
        status, _ = await call(session, "POST", agent, "/v1/classify?app=gate", data=image)
        assert status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"task": "tiny", "accuracy": 0.99999}, 422),
        ({"task": "nope", "accuracy": 0.9}, 404),
        ({"task": "tiny"}, 400),
        ({"task": "tiny", "accuracy": 0.9, "x": 1}, 400),
        ([], 400),
    ],
)
async def test_an_app_that_cannot_be_served_is_refused(
    agent: Service, body: object, status: int
) -> None:
    async with aiohttp.ClientSession() as session:
        assert (await call(session, "PUT", agent, "/v1/apps/bad", json=body))[0] == status
        assert (await call(session, "GET", agent, "/v1/apps/bad"))[0] == 404


async def test_feedback_and_audits_estimate_what_was_delivered(agent: Service) -> None:
    async with aiohttp.ClientSession() as session:
        target = {"task": "tiny", "accuracy": 0.6}
        await call(session, "PUT", agent, "/v1/apps/belt", json=target)
        right = 0
        for index in range(120):
            answer = await classify(session, agent, index, "app=belt")
            label = LABELS[index % 4]
            right += answer["label"] == label
            feedback = {"request_id": answer["request_id"], "label": label}
            status, body = await call(session, "POST", agent, "/v1/feedback", json=feedback)
            assert (status, body) == (202, {"counted": True})
        path = "/v1/apps/belt/accuracy"
        for _ in range(100):
            _, body = await call(session, "GET", agent, path)
            estimates = body["windows"]["5m"].get("estimates", {})
            if estimates.get("feedback", {}).get("n") == 120 and "audits" in estimates:
                break
            await asyncio.sleep(0.1)
        labels = estimates["feedback"]
        assert labels["value"] == pytest.approx(right / 120)
        assert labels["low"] < right / 120 < labels["high"]
        audits = estimates["audits"]
        # Audits are drawn: one interval in twenty misses, and the large rung errs too.
        assert audits["n"] > 10
        assert audits["low"] - 0.1 <= right / 120 <= audits["high"] + 0.1


async def test_feedback_counts_once_and_only_for_our_answers(agent: Service) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await classify(session, agent, 7)
        good = {"request_id": answer["request_id"], "class_id": 1}
        first = await call(session, "POST", agent, "/v1/feedback", json=good)
        again = await call(session, "POST", agent, "/v1/feedback", json=good)
        assert (first[1], again[1]) == ({"counted": True}, {"counted": False})
        changed = answer["request_id"][:-3] + "abc"
        for body, status in (
            ({"request_id": changed, "class_id": 1}, 404),
            ({"request_id": "x", "label": "red"}, 404),
            ({"request_id": answer["request_id"], "label": "purple"}, 400),
            ({"request_id": answer["request_id"], "class_id": 99}, 400),
            ({"request_id": answer["request_id"]}, 400),
            (["no"], 400),
        ):
            found, error = await call(session, "POST", agent, "/v1/feedback", json=body)
            assert found == status, error
            assert error["error"]["hint"]


def redis_total(url: str) -> float:
    async def read() -> float:
        store = RedisStore.open(url, timeout_s=3.0)
        counts = await store.counts("tiny@1", window_s=3600)
        await store.close()
        return sum(
            amount
            for sums in counts.values()
            for name, amount in sums.items()
            if name.startswith("answers/")
        )

    return asyncio.run(read())


def settled(url: str, wanted: float, patience_s: float = 20.0) -> float:
    end = time.monotonic() + patience_s
    found = -1.0
    while found != wanted and time.monotonic() < end:
        with contextlib.suppress(Exception):
            found = redis_total(url)
        time.sleep(0.1)
    time.sleep(0.5)
    return redis_total(url)


async def send(agents: list[Service], count: int) -> int:
    """Requests in turn to the agents; all must be answered."""
    async with aiohttp.ClientSession() as session:
        for index in range(count):
            await classify(session, agents[index % len(agents)], index)
    return count


def test_a_fleet_counts_to_the_unit_whatever_happens(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        dc = stack.enter_context(gateway(repository))

        def one(index: int) -> Service:
            journal = ("--journal", str(tmp_path / f"journal-{index}.db"))
            more = ("--store", server.url, "--tracking-interval-s", "0.1", "--audit-share", "0")
            return stack.enter_context(edge(repository, dc.address, *journal, *more))

        agents = [one(index) for index in range(3)]
        sent = asyncio.run(send(agents, 60))
        assert settled(server.url, sent) == sent
        server.kill()
        sent += asyncio.run(send(agents, 60))
        time.sleep(0.5)  # into the journals
        agents[0].process.kill()
        agents[0].process.wait(10)
        server.start()
        agents[0] = one(0)
        sent += asyncio.run(send(agents, 30))
        assert settled(server.url, sent) == sent
        server.freeze()
        start = time.monotonic()
        sent += asyncio.run(send(agents, 30))
        assert time.monotonic() - start < 3  # nobody waits for the store
        server.thaw()
        assert settled(server.url, sent) == sent
        for service in agents:
            assert service.terminate() == 0


async def wait_for_threshold(
    session: aiohttp.ClientSession, service: Service, target: str, above: float
) -> float:
    for _ in range(150):
        _, body = await call(session, "GET", service, "/v1/tasks/tiny/accuracy")
        threshold = body["thresholds"].get(target, {}).get("threshold", 0.0)
        if threshold > above:
            return float(threshold)
        await asyncio.sleep(0.1)
    raise AssertionError(f"the threshold stays at {threshold}")


def test_agents_share_apps_thresholds_and_feedback(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    more = ("--store", server.url, "--tracking-interval-s", "0.1", "--audit-share", "0.5")

    async def talk(first: Service, second: Service) -> None:
        async with aiohttp.ClientSession() as session:
            await call(
                session, "PUT", first, "/v1/apps/gate", json={"task": "tiny", "accuracy": 0.8}
            )
            start = time.monotonic()
            while (await call(session, "GET", second, "/v1/apps/gate"))[0] != 200:
                assert time.monotonic() - start < 2.0
                await asyncio.sleep(0.05)
            answer = await classify(session, first, 3, "app=gate")
            feedback = {"request_id": answer["request_id"], "class_id": 0}
            for service, counted in ((second, True), (first, False), (second, False)):
                _, body = await call(session, "POST", service, "/v1/feedback", json=feedback)
                assert body == {"counted": counted}
            assert len((await call(session, "GET", second, "/v1/agents"))[1]["agents"]) == 2
            clean = await classify(session, second, 0, "accuracy=0.8")
            floor = clean["accuracy"]["threshold"]
            for index in range(900):  # traffic far noisier than calibration
                image = coloured_jpeg(LABELS[index % 4], seed=index + 1, noise=145)
                path = "/v1/classify?accuracy=0.8"
                await call(session, "POST", first, path, data=image)
            raised = await wait_for_threshold(session, second, "0.8", floor + 0.02)
            echoed = await classify(session, second, 1, "accuracy=0.8")
            assert echoed["accuracy"]["threshold"] > floor
            assert raised > floor
            first.process.kill()  # whoever led, the other one can
            await asyncio.sleep(4)
            for index in range(300):
                image = coloured_jpeg(LABELS[index % 4], seed=index + 1, noise=145)
                path = "/v1/classify?accuracy=0.85"
                await call(session, "POST", second, path, data=image)
            assert await wait_for_threshold(session, second, "0.85", 0.0) > 0

    with (
        contextlib.closing(contextlib.ExitStack()) as stack,
        gateway(repository) as dc,
        edge(repository, dc.address, *more) as first,
        edge(repository, dc.address, *more) as second,
    ):
        stack.callback(server.kill)
        asyncio.run(talk(first, second))


def test_with_keys_on_an_app_s_key_is_needed(repository: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"gate": "g" * 20, "belt": "b" * 20}))
    target = {"task": "tiny", "accuracy": 0.7}

    async def talk(service: Service) -> None:
        async with aiohttp.ClientSession() as session:

            async def put(app: str, key: str | None) -> int:
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                path = f"/v1/apps/{app}"
                return (await call(session, "PUT", service, path, json=target, headers=headers))[0]

            assert [await put("gate", key) for key in (None, "b" * 20, "g" * 20)] == [401, 403, 200]
            assert await put("other", "g" * 20) == 403
            image = coloured_jpeg("red", seed=1)
            for headers, status in ({}, 401), ({"Authorization": f"Bearer {'g' * 20}"}, 200):
                found, answer = await call(
                    session, "POST", service, "/v1/classify?app=gate", data=image, headers=headers
                )
                assert found == status
            feedback = {"request_id": answer["request_id"], "class_id": 0}
            for key, status in (("b" * 20, 403), ("g" * 20, 202)):
                headers = {"Authorization": f"Bearer {key}"}
                path = "/v1/feedback"
                found, _ = await call(
                    session, "POST", service, path, json=feedback, headers=headers
                )
                assert found == status

    with edge(repository, f"127.0.0.1:{free_port()}", "--app-keys", str(keys)) as service:
        asyncio.run(talk(service))


def test_probes_are_replayed_beside_the_requests(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    for index in range(8):
        folder = tmp_path / "probes" / LABELS[index % 4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.jpg").write_bytes(coloured_jpeg(LABELS[index % 4], seed=index + 1))

    async def probed() -> float:
        store = RedisStore.open(server.url, timeout_s=3.0)
        counts = await store.counts("tiny@1", window_s=3600)
        await store.close()
        return counts.get(CountKey("tiny@1", "", "probes"), {}).get("pair/n", 0.0)

    options = ("--store", server.url, "--probes", str(tmp_path / "probes"))
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        dc = stack.enter_context(gateway(repository))
        stack.enter_context(edge(repository, dc.address, *options, "--probe-every-s", "0.05"))
        end = time.monotonic() + 15
        while asyncio.run(probed()) < 10:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_no_store_at_start_costs_nothing_but_is_said(repository: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"

    async def talk(service: Service) -> None:
        async with aiohttp.ClientSession() as session:
            start = time.monotonic()
            for index in range(20):
                await classify(session, service, index)
            assert time.monotonic() - start < 5
            _, body = await call(session, "GET", service, "/v1/tasks/tiny/accuracy")
            assert body["store"]["available"] is False
            assert body["store"]["unavailable_since"] <= time.time()
            put = {"task": "tiny", "accuracy": 0.7}
            status, error = await call(session, "PUT", service, "/v1/apps/gate", json=put)
            assert (status, error["error"]["code"]) == (503, "store_unavailable")

    with edge(repository, f"127.0.0.1:{free_port()}", "--store", url) as service:
        asyncio.run(talk(service))
        assert service.terminate() == 0
