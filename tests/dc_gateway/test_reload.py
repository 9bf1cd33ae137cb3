"""New versions at the gateway's door: under traffic, beside the old ones, or never."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.model import load_models
from dc_gateway.server import Gateway
from hawkvision.errors import UnknownTask, VersionUnavailable
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.dc_gateway.calls import infer_request, until
from tests.dc_gateway.conftest import Served
from tests.models import add_version, build_tiny_repository, coloured_jpeg

IMAGE = coloured_jpeg("red")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return build_tiny_repository(tmp_path)


@asynccontextmanager
async def served(repository: Path, **settings: object) -> AsyncIterator[Served]:
    options: dict[str, object] = {"port": 0, "threads": 2, "drain_notice_s": 0.0, **settings}
    config = GatewayConfig(model_repository=repository, **options)  # type: ignore[arg-type]
    gateway = Gateway(config, load_models(config))
    address = f"127.0.0.1:{await gateway.start()}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            yield Served(gateway, address, stub)
    finally:
        await gateway.close()


async def asked(one: Served, version: str = "") -> str:
    """The version that answers a call which asks for `version`."""
    reply = await one.stub.ModelInfer(infer_request(IMAGE, version=version), timeout=30)
    return str(reply.model_version)


async def code(one: Served, version: str = "") -> grpc.StatusCode | None:
    try:
        await asked(one, version)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


@pytest.mark.parametrize("batching", [False, True])
async def test_versions_take_over_under_traffic_and_no_call_is_dropped(
    repository: Path, batching: bool
) -> None:
    """Callers that name no version, and an agent of the old one; at last a damaged one comes."""
    answered: list[tuple[str, str]] = []
    stop = asyncio.Event()

    async with served(repository, batching=batching, keep_versions=2) as one:

        async def caller(version: str) -> None:
            while not stop.is_set():
                answered.append((version, await asked(one, version)))

        callers = [asyncio.create_task(caller(version)) for version in ("", "", "1")]
        try:
            add_version(repository, "2")
            await one.gateway.versions.load("tiny")
            for _ in range(2):
                before = len(answered)
                await until(lambda before=before: len(answered) > before + 20)  # type: ignore[misc]
                one.gateway.reload()  # nothing is new
            (add_version(repository, "3") / "dc.onnx").write_bytes(b"nothing")
            with pytest.raises(VersionUnavailable, match="digest"):
                await one.gateway.versions.load("tiny")
            before = len(answered)
            await until(lambda: len(answered) > before + 20)
        finally:
            stop.set()
            await asyncio.gather(*callers)  # raises what any call failed with
        assert answered[-1][1] in ("1", "2") and ("", "2") in answered
        assert {by for version, by in answered if version == "1"} == {"1"}
        last = [by for version, by in answered if not version][-10:]
        assert set(last) == {"2"}


async def test_an_older_version_answers_while_agents_ask_for_it(repository: Path) -> None:
    async with served(repository, keep_versions=2, version_grace_s=0.0) as one:
        held = one.gateway.models["tiny"]
        add_version(repository, "2")
        await one.gateway.versions.load("tiny")
        await until(lambda: _versions(one) == {"2": "READY", "1": "UNLOADING"})
        assert await code(one, "1") is grpc.StatusCode.NOT_FOUND  # agents degrade, as ever
        del held
        await until(lambda: _versions(one) == {"2": "READY"})


async def test_more_versions_than_are_kept_push_the_oldest_out(repository: Path) -> None:
    async with served(repository, keep_versions=2) as one:
        for version in ("2", "3"):
            add_version(repository, version)
            await one.gateway.versions.load("tiny")
        assert [await asked(one, version) for version in ("", "2", "3")] == ["3", "2", "3"]
        assert await code(one, "1") is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("batching", [False, True])
async def test_the_memory_of_a_version_and_its_place_in_the_batches_come_back(
    repository: Path, batching: bool
) -> None:
    async with served(repository, batching=batching, keep_versions=1) as one:
        gone: list[weakref.ref[Any]] = []
        for number in range(2, 5):
            await asked(one)
            model = one.gateway.models["tiny"]
            gone += [weakref.ref(model), weakref.ref(model.rungs[0].engine)]
            del model
            add_version(repository, str(number))
            await one.gateway.versions.load("tiny")
        await until(lambda: not one.gateway.catalog.retiring)
        gc.collect()
        assert [ref() for ref in gone] == [None] * len(gone)
        assert len(one.gateway.runner.lines) == batching


async def test_a_damaged_version_never_answers(repository: Path) -> None:
    async with served(repository) as one:
        folder = add_version(repository, "2")
        (folder / "dc.onnx").write_bytes(b"nothing")
        with pytest.raises(VersionUnavailable, match="digest"):
            await one.gateway.versions.load("tiny")
        assert await asked(one) == "1"
        assert await code(one, "2") is grpc.StatusCode.NOT_FOUND
        [row] = [row for row in one.gateway.versions.index() if row.version == "2"]
        assert row.state.value == "UNAVAILABLE" and "digest" in row.reason


async def test_a_task_that_is_unloaded_is_not_found_until_it_is_loaded(repository: Path) -> None:
    async with served(repository) as one:
        await one.gateway.versions.unload("tiny")
        assert await code(one) is grpc.StatusCode.NOT_FOUND
        ready = await one.stub.ModelReady(messages.ModelReadyRequest(name="tiny"))
        assert not ready.ready
        with pytest.raises(UnknownTask):
            await one.gateway.versions.load("other")
        await one.gateway.versions.load("tiny")
        assert await asked(one) == "1"


async def test_a_new_version_is_seen_by_who_watches(repository: Path) -> None:
    async with served(repository, watch_repository=0.02) as one:
        add_version(repository, "2")
        await until(lambda: _versions(one).get("2") == "READY")
        assert await asked(one) == "2"


def _versions(one: Served) -> dict[str, str]:
    return {row.version: row.state.value for row in one.gateway.versions.index()}


@pytest.mark.parametrize("change", ["Load", "Unload"])
async def test_clients_change_nothing_where_they_may_not(repository: Path, change: str) -> None:
    request = getattr(messages, f"RepositoryModel{change}Request")(model_name="tiny")
    async with served(repository, model_control=False) as one:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await getattr(one.stub, f"RepositoryModel{change}")(request, timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "--model-control" in (refused.value.details() or "")
        index = await one.stub.RepositoryIndex(messages.RepositoryIndexRequest(), timeout=30)
        assert [row.state for row in index.models] == ["READY"]


def test_by_default_clients_change_models_on_loopback_alone() -> None:
    hosts = {"127.0.0.1": True, "localhost": True, "::1": True, "0.0.0.0": False, "::": False}
    for host, may in hosts.items():
        assert GatewayConfig(host=host).changes_models is may
    assert GatewayConfig(host="0.0.0.0", model_control=True).changes_models
