"""API keys at every door of an agent: scopes by the table, rates, rotation, and what is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.grpc.servicer import SCOPES
from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import GRANTED, Scope
from tests.edge_agent.agents import exchange, request, started
from tests.edge_agent.grpc.test_servicer import client, images, refusal
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red")
APP = json.dumps({"task": "tiny", "accuracy": 0.7}).encode()
OPEN = {
    "GET /",
    "GET /openapi.json",
    "GET /v2/health/live",
    "GET /v2/health/ready",
}
"""All that says nothing of an agent but that it is there."""


def secret(scope: str) -> str:
    return f"a key that is good for {scope}".replace(" ", "-")


def one(name: str, *scopes: Scope, apps: tuple[str, ...] | None = None, **more: Any) -> Key:
    which = None if apps is None else frozenset(apps)
    return Key(name, digest_of(secret(name)), frozenset(scopes), which, **more)


EACH = tuple(one(str(scope), scope) for scope in GRANTED)


@asynccontextmanager
async def guarded(
    repository: Path, folder: Path, found: KeyFile, **settings: Any
) -> AsyncIterator[Agent]:
    store_keys(folder / "keys.toml", found)
    async with started(repository, keys=folder / "keys.toml", **settings) as agent:
        yield agent


def bearer(name: str) -> str:
    return f"Authorization: Bearer {secret(name)}"


def filled(path: str) -> str:
    filling = {"{app}": "gate", "{task}": "tiny", "{id}": "nobody", "{version}": "1"}
    for name, value in filling.items():
        path = path.replace(name, value)
    return path


async def test_every_route_takes_its_own_scope_and_no_other(
    tiny_repository: Path, tmp_path: Path
) -> None:
    async with guarded(tiny_repository, tmp_path, KeyFile(EACH)) as agent:
        public = {f"{route.method} {route.path}" for route in agent.routes} - {
            f"{route.method} {route.path}"
            for route in agent.routes
            if route.scope is not Scope.PUBLIC
        }
        assert public == OPEN
        assert {route.scope for route in agent.routes} == set(Scope)
        for route in agent.routes:
            path = filled(route.path)
            if route.scope is Scope.PUBLIC:
                continue
            if route.scope is Scope.MODELS and path.endswith("/unload"):
                path = path.replace("tiny", "none")
            bare = await exchange(agent, request(route.method, path))
            assert (bare.status, bare.code) == (401, "unauthorized"), route
            for scope in GRANTED:
                reply = await exchange(agent, request(route.method, path, b"", bearer(scope)))
                if scope is route.scope:
                    assert reply.status not in (401, 403), (route, reply.body)
                else:
                    assert (reply.status, reply.code) == (403, "forbidden"), (route, scope)
                    assert f"scope {route.scope}".encode() in reply.body


async def test_the_short_way_asks_as_the_long_one_does(
    tiny_repository: Path, tmp_path: Path
) -> None:
    keys = (*EACH, one("gate", Scope.CLASSIFY, apps=("gate",)))
    async with guarded(tiny_repository, tmp_path, KeyFile(keys)) as agent:
        chunked = "Connection: close"
        for way in ((), (chunked,)):
            for header, status in (
                ((), 401),
                (("Authorization: Bearer wrong",), 401),
                (("Authorization: Basic Zzo=",), 401),
                ((bearer("read"),), 403),
                ((bearer("classify"),), 200),
                ((f"X-API-Key: {secret('classify')}",), 200),
                ((f"authorization: bearer {secret('classify')}",), 200),
            ):
                sent = request("POST", "/v1/classify?accuracy=0.5", IMAGE, *header, *way)
                reply = await exchange(agent, sent)
                assert reply.status == status, (header, way, reply.body)
                if status == 401:
                    assert reply.headers["www-authenticate"] == "Bearer"
            for app, status in (("gate", 200), ("belt", 403)):
                path = f"/v1/classify?accuracy=0.5&app={app}"
                await exchange(agent, request("PUT", f"/v1/apps/{app}", APP, bearer("targets")))
                sent = request("POST", path, IMAGE, bearer("gate"), *way)
                assert (await exchange(agent, sent)).status == status


async def test_a_key_of_an_app_sees_and_changes_that_app_alone(
    tiny_repository: Path, tmp_path: Path
) -> None:
    keys = (one("all", *GRANTED), one("gate", *GRANTED, apps=("gate",)))
    async with guarded(tiny_repository, tmp_path, KeyFile(keys)) as agent:
        for app in ("gate", "belt"):
            sent = request("PUT", f"/v1/apps/{app}", APP, bearer("all"))
            assert (await exchange(agent, sent)).status == 200
        for method, path in (
            ("GET", "/v1/apps/belt"),
            ("GET", "/v1/apps/belt/accuracy"),
            ("PUT", "/v1/apps/belt"),
            ("DELETE", "/v1/apps/belt"),
        ):
            reply = await exchange(agent, request(method, path, APP, bearer("gate")))
            assert (reply.status, reply.code) == (403, "forbidden")
        for name, seen in (("gate", ["gate"]), ("all", ["belt", "gate"])):
            reply = await exchange(agent, request("GET", "/v1/apps", b"", bearer(name)))
            assert sorted(one["app"] for one in reply.json["apps"]) == seen
        sent = request("POST", "/v1/classify?accuracy=0.5&app=belt", IMAGE, bearer("all"))
        answer = (await exchange(agent, sent)).json
        feedback = json.dumps({"request_id": answer["request_id"], "label": "red"}).encode()
        for name, status in (("gate", 403), ("all", 202)):
            sent = request("POST", "/v1/feedback", feedback, bearer(name))
            assert (await exchange(agent, sent)).status == status


async def test_above_its_rate_a_key_is_told_when_to_come_again(
    tiny_repository: Path, tmp_path: Path
) -> None:
    slow = one("slow", Scope.CLASSIFY, Scope.READ, rate=Rate(0.01, 2.0))
    async with guarded(tiny_repository, tmp_path, KeyFile((slow, *EACH))) as agent:
        sent = request("POST", "/v1/classify?accuracy=0.5", IMAGE, bearer("slow"))
        assert [(await exchange(agent, sent)).status for _ in range(2)] == [200, 200]
        for refused in (sent, request("GET", "/v1/tasks", b"", bearer("slow"))):
            reply = await exchange(agent, refused)
            assert (reply.status, reply.code) == (429, "rate_limited")
            assert 90 <= int(reply.headers["retry-after"]) <= 100
        other = request("GET", "/v1/tasks", b"", bearer("read"))
        assert (await exchange(agent, other)).status == 200


async def test_without_a_key_what_the_file_says(tiny_repository: Path, tmp_path: Path) -> None:
    found = KeyFile(EACH, frozenset({Scope.CLASSIFY}))
    async with guarded(tiny_repository, tmp_path, found) as agent:
        assert (await exchange(agent, request("POST", "/v1/classify", IMAGE))).status == 200
        assert (await exchange(agent, request("GET", "/v1/tasks"))).status == 401


async def tasks(agent: Agent, name: str) -> int:
    return (await exchange(agent, request("GET", "/v1/tasks", b"", bearer(name)))).status


async def test_keys_are_changed_while_it_serves(tiny_repository: Path, tmp_path: Path) -> None:
    old, new = one("old", Scope.READ), one("new", Scope.READ)
    path = tmp_path / "keys.toml"
    async with guarded(tiny_repository, tmp_path, KeyFile((old,))) as agent:
        assert [await tasks(agent, name) for name in ("old", "new")] == [200, 401]
        store_keys(path, KeyFile((old, new)))
        async with asyncio.timeout(60):
            while await tasks(agent, "new") != 200:
                await asyncio.sleep(0.05)
        path.write_text("[[key]]\nid = 3\n")
        agent.reload()  # as SIGHUP does
        await asyncio.sleep(0.1)
        assert [await tasks(agent, name) for name in ("old", "new")] == [200, 200]
        store_keys(path, KeyFile((new,)))
        agent.reload()
        async with asyncio.timeout(60):
            while await tasks(agent, "old") != 401:
                await asyncio.sleep(0.05)
        assert await tasks(agent, "new") == 200


async def test_over_grpc_each_method_takes_its_scope(tiny_repository: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    store_keys(keys, KeyFile((*EACH, one("slow", Scope.CLASSIFY, rate=Rate(0.01, 1.0)))))

    def ours(name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {secret(name)}"}

    async with client(tiny_repository, keys=keys) as (_, caller):
        calls: dict[Scope, list[Any]] = {
            Scope.CLASSIFY: [lambda headers: caller.infer("tiny", images(IMAGE), headers=headers)],
            Scope.MODELS: [
                lambda headers: caller.load_model("tiny", headers=headers),
                lambda headers: caller.unload_model("tiny", headers=headers),
                lambda headers: caller.load_model("tiny", headers=headers),
            ],
            Scope.READ: [
                lambda headers: caller.get_model_metadata("tiny", headers=headers),
                lambda headers: caller.get_model_config("tiny", headers=headers),
                lambda headers: caller.get_inference_statistics("tiny", headers=headers),
                lambda headers: caller.get_model_repository_index(headers=headers),
                lambda headers: caller.get_server_metadata(headers=headers),
                lambda headers: caller.is_model_ready("tiny", headers=headers),
            ],
        }
        assert await caller.is_server_live() and await caller.is_server_ready()
        for scope, of_scope in calls.items():
            other = Scope.METRICS
            for call in of_scope:
                assert (await refusal(call(None)))[0] == "StatusCode.UNAUTHENTICATED"
                assert await refusal(call(ours(other))) == (
                    "StatusCode.PERMISSION_DENIED",
                    "forbidden",
                )
                await call(ours(scope))
                if scope is not Scope.MODELS:  # what was unloaded cannot be unloaded again
                    await call({"x-api-key": secret(scope)})
        slow = calls[Scope.CLASSIFY][0]
        await slow(ours("slow"))
        assert await refusal(slow(ours("slow"))) == (
            "StatusCode.RESOURCE_EXHAUSTED",
            "rate_limited",
        )

        async def asked() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": "tiny", "inputs": images(IMAGE)}

        async def streamed(name: str | None) -> str:
            headers = None if name is None else ours(name)
            try:
                async for _, error in caller.stream_infer(asked(), headers=headers):
                    return "" if error is None else str(error)
            except Exception as error:
                return str(error)
            return "nothing"

        assert await streamed("classify") == ""
        assert "UNAUTHENTICATED" in await streamed(None)
        assert "PERMISSION_DENIED" in await streamed("read")


async def test_every_method_over_grpc_has_a_scope(tiny_repository: Path) -> None:
    async with client(tiny_repository) as (agent, _):
        assert agent.rpc is not None
        service = agent.rpc._service
        assert set(service.methods()) | set(service.streams()) == set(SCOPES)


@pytest.mark.parametrize("text", ["", "[[key]]", "{}"])
async def test_a_file_that_is_none_ends_the_start(
    tiny_repository: Path, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    if text:
        with pytest.raises(HawkVisionError, match=r"keys\.toml"):
            async with started(tiny_repository, keys=path):
                pass
    else:  # no key at all: nobody may do anything
        async with started(tiny_repository, keys=path) as agent:
            assert (await exchange(agent, request("GET", "/v1/tasks"))).status == 401


async def test_both_files_of_keys_at_once_are_refused(
    tiny_repository: Path, tmp_path: Path
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("")
    with pytest.raises(HawkVisionError, match="both"):
        async with started(tiny_repository, keys=path, app_keys=path):
            pass
