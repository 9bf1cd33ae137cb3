"""New versions at the agent's doors: they take over under traffic, or never serve a request."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import shutil
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.agent import Agent
from edge_agent.fleet.leading import Leading
from edge_agent.fleet.probes import Labelled
from edge_agent.local import LocalTask
from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream
from hawkvision.repository import Repository
from hawkvision.tracking.records import ThresholdState
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.versions import counted
from tests.edge_agent.agents import Reply, exchange, gateway_of, read_reply, request, started
from tests.lossy.photos import jpeg
from tests.models import LABELS, add_version, build_tiny_repository, coloured_jpeg

LOAD = "/v2/repository/models/tiny/load"
UNLOAD = "/v2/repository/models/tiny/unload"
CLASSIFY = "/v1/classify?accuracy=0.5"
IMAGE = coloured_jpeg("red")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return build_tiny_repository(tmp_path)


@pytest.fixture
async def agent(repository: Path) -> AsyncIterator[Agent]:
    async with started(repository) as agent:
        yield agent


async def post(agent: Agent, path: str, body: bytes = b"", *headers: str) -> Reply:
    return await exchange(agent, request("POST", path, body, *headers))


async def index(agent: Agent) -> dict[str, tuple[str, str]]:
    rows = (await post(agent, "/v2/repository/index")).json
    return {row["version"]: (row["state"], row["reason"]) for row in rows}


async def version(agent: Agent) -> str:
    reply = await exchange(agent, request("GET", "/v1/tasks/tiny"))
    return str(reply.json["version"])


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def traffic(agent: Agent) -> AsyncIterator[list[int]]:
    """Requests of four clients; the statuses of their replies."""
    statuses: list[int] = []
    stop = asyncio.Event()

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(agent.url) as session:
            while not stop.is_set():
                image = coloured_jpeg(LABELS[number], seed=len(statuses) % 5)
                async with session.post(CLASSIFY, data=image) as reply:
                    await reply.read()
                    statuses.append(reply.status)

    clients = [asyncio.create_task(client(number)) for number in range(4)]
    try:
        yield statuses
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def test_versions_take_over_under_traffic_and_no_request_is_dropped(
    agent: Agent, repository: Path
) -> None:
    async with traffic(agent) as statuses:
        for new in ("2", "3", "10"):
            add_version(repository, new)
            before = len(statuses)
            assert (await post(agent, LOAD)).status == 200
            assert await version(agent) == new

            async def more(than: int = before + 20) -> bool:
                return len(statuses) > than

            await until(more)
    assert set(statuses) == {200}


@pytest.mark.parametrize("fault", ["digest", "missing", "task", "scores"])
async def test_a_version_that_is_not_whole_never_serves(
    agent: Agent, repository: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = add_version(repository, "2")
    if fault == "digest":
        path = folder / "edge.onnx"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    elif fault == "missing":
        (folder / "edge.onnx").unlink()
    elif fault == "task":
        (folder / "task.toml").write_text("name = 3")
    else:
        (folder / "calibration.npz").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        replies = [await post(agent, LOAD) for _ in range(2)]
    assert [(one.status, one.code) for one in replies] == [(400, "version_unavailable")] * 2
    said = [one for one in caplog.messages if "version 2 cannot serve, version 1 goes on" in one]
    assert len(said) == 1
    rows = await index(agent)
    assert rows["1"] == ("READY", "")
    state, reason = rows["2"]
    assert state == "UNAVAILABLE" and reason and reason in said[0]
    assert (await post(agent, CLASSIFY, IMAGE)).status == 200 and await version(agent) == "1"
    metrics = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    shown = 'hawkvision_task_version{state="UNAVAILABLE",task="tiny",version="2"} 1.0'
    assert shown in metrics and 'hawkvision_task_loads_total{result="failed"} 2.0' in metrics


async def test_a_version_that_is_mended_is_taken_by_who_watches(repository: Path) -> None:
    folder = add_version(repository, "2")
    whole = (folder / "edge.onnx").read_bytes()
    (folder / "edge.onnx").write_bytes(whole[:-1])
    async with started(repository, watch_repository=0.02) as agent:
        assert (await index(agent))["2"][0] == "UNAVAILABLE"  # it was passed over at start

        async def tried() -> bool:
            return "digest" in (await index(agent))["2"][1]

        await until(tried)
        (folder / "edge.onnx").write_bytes(whole)

        async def serves(wanted: str = "2") -> bool:
            return await version(agent) == wanted

        await until(serves)
        shutil.rmtree(folder)  # back to the one before
        await until(lambda: serves("1"))
        shutil.rmtree(repository / "tiny")  # nothing there is no reason to stop
        await agent.versions._look(again=True)
        assert (await post(agent, CLASSIFY, IMAGE)).status == 200


async def test_what_differs_from_its_reference_answers_does_not_replace_what_agrees(
    agent: Agent, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version(repository, "2")
    load = LocalTask.load.__func__  # type: ignore[attr-defined]

    def disagrees(cls: type[LocalTask], *args: Any, **options: Any) -> LocalTask:
        found: LocalTask = load(cls, *args, **options)
        found.agrees = False
        return found

    monkeypatch.setattr(LocalTask, "load", classmethod(disagrees))
    assert (await post(agent, LOAD)).code == "version_unavailable"
    assert "reference" in (await index(agent))["2"][1] and await version(agent) == "1"


async def test_a_request_in_flight_is_answered_by_the_version_it_began_with(
    agent: Agent, repository: Path
) -> None:
    path = "/v2/models/tiny/versions/1/infer"
    body = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "BYTES",
                    "shape": [1],
                    "parameters": {"binary_data_size": len(IMAGE) + 4},
                }
            ]
        }
    ).encode()
    whole = request(
        "POST",
        path,
        body + len(IMAGE).to_bytes(4, "little") + IMAGE,
        f"Inference-Header-Content-Length: {len(body)}",
    )
    old = weakref.ref(agent.tasks["tiny"])
    port = int(agent.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(whole[:-40])
    await writer.drain()

    async def begun() -> bool:
        return not agent.entrance.idle.is_set()

    await until(begun)
    add_version(repository, "2")
    assert (await post(agent, LOAD)).status == 200
    assert (await index(agent))["1"][0] == "UNLOADING" and old() is not None
    writer.write(whole[-40:])
    reply = await read_reply(reader)
    writer.close()
    assert reply.status == 200 and reply.json["model_version"] == "1"

    async def freed() -> bool:
        return old() is None and "1" not in await index(agent)

    await until(freed)
    assert (await post(agent, path, body)).status == 404  # nobody keeps it here


async def test_the_memory_of_every_version_comes_back(agent: Agent, repository: Path) -> None:
    gone: list[weakref.ref[Any]] = []
    for number in range(2, 5):
        await post(agent, CLASSIFY, IMAGE)
        local = agent.tasks["tiny"]
        gone += [weakref.ref(local), weakref.ref(local.engine), weakref.ref(local.policy)]
        del local
        add_version(repository, str(number))
        assert (await post(agent, LOAD)).status == 200

    async def freed() -> bool:
        return not agent.catalog.retiring

    await until(freed)
    gc.collect()
    assert [one() for one in gone] == [None] * len(gone)


@pytest.mark.parametrize("sent", [b"[]", b'{"parameters": false}', b'{"parameters": {"x": 1}}'])
async def test_a_change_that_asks_for_what_nobody_does_is_refused(
    agent: Agent, sent: bytes
) -> None:
    assert (await post(agent, LOAD, sent)).status == 400
    assert (await post(agent, UNLOAD, sent)).status == 400
    assert (await post(agent, CLASSIFY, IMAGE)).status == 200


async def test_unload_and_load_again(agent: Agent, repository: Path) -> None:
    assert (await post(agent, UNLOAD)).status == 200  # the last one, too
    assert (await post(agent, UNLOAD)).status == 404
    for path in (CLASSIFY, "/v1/classify?task=tiny"):
        reply = await post(agent, path, IMAGE)
        assert (reply.status, reply.code) == (404, "unknown_task")
    assert (await exchange(agent, request("GET", "/v2/models/tiny/ready"))).status == 404
    add_version(repository, "2")
    agent.reload()  # what was unloaded stays so
    assert (await post(agent, "/v2/repository/models/none/load")).status == 404
    assert await index(agent) == {"": ("UNAVAILABLE", "unloaded")}
    ready = await post(agent, "/v2/repository/index", b'{"ready": true}')
    assert ready.json == []
    assert (await post(agent, LOAD)).status == 200
    assert (await post(agent, CLASSIFY, IMAGE)).status == 200 and await version(agent) == "2"


async def test_load_and_unload_need_a_key_where_keys_are_on(
    repository: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"gate": "k" * 32}))
    async with started(repository, app_keys=keys) as agent:
        for path in (LOAD, UNLOAD):
            assert (await post(agent, path)).status == 401
        assert (await post(agent, LOAD, b"", f"Authorization: Bearer {'k' * 32}")).status == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"parameters": {"file:1/model.onnx": "AA"}}'])
async def test_only_the_repository_says_what_is_loaded(agent: Agent, body: bytes) -> None:
    assert (await post(agent, LOAD, body)).status == 400


async def test_counts_of_versions_do_not_add_up(agent: Agent, repository: Path) -> None:
    ids = []
    for number in ("1", "2"):
        if number == "2":
            add_version(repository, "2")
            assert (await post(agent, LOAD)).status == 200
        for _ in range(3 if number == "1" else 2):
            reply = await post(agent, CLASSIFY, IMAGE)
            ids.append(reply.json["request_id"])

    async def report(query: str = "") -> tuple[str, float]:
        found = await exchange(agent, request("GET", f"/v1/tasks/tiny/accuracy{query}"))
        return found.json["version"], found.json["windows"]["5m"]["requests"]

    async def all_are_there() -> bool:
        return await report("?version=1") == ("1", 3) and await report() == ("2", 2)

    await until(all_are_there)
    assert await report("?version=9") == ("9", 0)
    assert (
        await exchange(agent, request("GET", "/v1/tasks/tiny/accuracy?version=%20"))
    ).status == 400
    for request_id in (ids[0], ids[-1]):  # feedback for the version that is gone is taken, too
        body = json.dumps({"request_id": request_id, "label": "red"}).encode()
        assert (await post(agent, "/v1/feedback", body)).status == 202

    async def fed_back() -> bool:
        store = agent.fleet.store
        found = [await store.counts(f"tiny@{number}", window_s=300) for number in "12"]
        sums = [sum(one.get("feedback/edge/n", 0) for one in each.values()) for each in found]
        return sums == [1, 1]

    await until(fed_back)


async def test_a_fleet_of_mixed_versions_steers_each_by_itself(local: LocalTask) -> None:
    store = MemoryStore()
    names = [counted("tiny", number) for number in "12"]
    old, new = (Leading({name: local.policy}, store, name, control=True) for name in names)
    await old.refresh(names[0], 0.0)
    await new.refresh(names[1], 0.0)  # both lead: neither waits for the other version
    assert await store.take_lead(names[0], "x", 3.0) is None
    assert await store.take_lead(names[1], "x", 3.0) is None
    raised = ThresholdState("0.8", 0.99, "steering", 1, 0.0)
    await store.put_thresholds(names[0], [raised], 1)
    for agent, name in ((old, names[0]), (new, names[1])):
        await agent.refresh(name, 1.0)
    assert old.thresholds(names[0])["0.8"].threshold == 0.99
    assert not new.thresholds(names[1])


async def test_a_stream_moves_to_the_new_version(agent: Agent, repository: Path) -> None:
    image = jpeg(1, restart_marker_rows=0, restart_marker_blocks=6)
    async with LossyStream.open(agent.url, accuracy=0.5, deadline_ms=20_000) as stream:
        assert (await stream.classify(image)).complete
        [one] = agent.streams._by_id.values()
        assert one.wanted.request.local.version == "1"
        add_version(repository, "2")
        assert (await post(agent, LOAD)).status == 200
        assert one.wanted.request.local is agent.tasks["tiny"]
        assert (await stream.classify(image)).complete
    assert one.counts.answered == 2


async def test_a_stream_of_a_task_that_is_unloaded_ends(agent: Agent) -> None:
    async with AsyncClient(agent.url) as client:
        await client.open_stream({})
        [one] = agent.streams._by_id.values()
        await post(agent, UNLOAD)
        assert one.stopped == "unloaded" and agent.streams.open_streams == 0


async def test_the_agent_asks_for_its_version_and_a_gateway_without_it_degrades(
    repository: Path,
) -> None:
    async with gateway_of(repository) as gateway, started(repository, gateway=gateway) as agent:
        path = "/v1/classify?accuracy=0.97"
        noisy = coloured_jpeg("grey", seed=3, noise=200.0)

        async def degraded() -> Any:
            return (await post(agent, path, noisy)).json["degraded"]

        assert await degraded() is None
        add_version(repository, "2")
        assert (await post(agent, LOAD)).status == 200
        assert await degraded() == "version_mismatch"


def test_probes_know_labels_by_name(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "probes" / "red").mkdir(parents=True)
    (tmp_path / "probes" / "red" / "0.jpg").write_bytes(IMAGE)
    task = Repository(repository).open("tiny")
    assert Labelled.read(task, tmp_path / "probes").images == ((IMAGE, "red"),)
