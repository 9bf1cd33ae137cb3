"""The description names every route, and what is answered is as described, nothing more."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from edge_agent.agent import Agent
from edge_agent.http.openapi import describe
from hawkvision.json_schema import Like, Schemas
from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import KeyFile
from hawkvision.serving.access.scopes import Scope
from tests.edge_agent.agents import Reply, exchange, gateway_of, request, started
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red")
APP = {"task": "tiny", "accuracy": 0.7, "deadline_ms": 900}
INFER = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["x"]}]}
OPEN = {"Answer", "OpenAPI", "Changed", "Feedback", "InferReply"}
"""Schemas of what may have more keys: an answer has those of its task's kind."""


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with (
        gateway_of(tiny_repository) as address,
        started(tiny_repository, gateway=address, tracking_interval_s=0.05) as agent,
    ):
        yield agent


@pytest.fixture
async def document(agent: Agent) -> Any:
    reply = await exchange(agent, request("GET", "/openapi.json"))
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    return reply.json


def strict(document: Any) -> Any:
    """The same without room for keys that are not described."""
    made = copy.deepcopy(document)
    for name, schema in made["components"]["schemas"].items():
        if name not in OPEN:
            close(schema)
    return made


def close(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for one in schema.values():
            close(one)
    elif isinstance(schema, list):
        for one in schema:
            close(one)


def check(document: Any, method: str, path: str, reply: Reply) -> None:
    """The reply is one that the document describes for this operation."""
    operation = document["paths"][path][method.lower()]
    described = operation["responses"].get(str(reply.status), operation["responses"]["default"])
    if "content" not in described:
        assert reply.body == b""
        return
    media = reply.headers["content-type"].partition(";")[0]
    found = described["content"][media]
    if media == "application/json":
        root = {**found["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(root).validate(reply.json)


async def test_it_is_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


async def test_every_route_is_in_it_and_nothing_else(agent: Agent, document: Any) -> None:
    described = {
        (method.upper(), path) for path, of_path in document["paths"].items() for method in of_path
    }
    assert described == {(route.method, route.path) for route in agent.routes}
    names = [
        one["operationId"] for of_path in document["paths"].values() for one in of_path.values()
    ]
    assert len(set(names)) == len(names)


async def test_what_every_route_answers_is_as_described(agent: Agent, document: Any) -> None:
    made = strict(document)
    seen: set[tuple[str, str]] = set()

    async def ask(method: str, path: str, body: bytes = b"", *headers: str, **filled: str) -> Reply:
        whole = path
        for name, value in filled.items():
            whole = whole.replace("{" + name + "}", value)
        query = filled.get("query", "")
        reply = await exchange(agent, request(method, whole + query, body, *headers))
        check(made, method, path, reply)
        if reply.status < 400:
            seen.add((method, path))
        return reply

    def sent(body: Any) -> bytes:
        return json.dumps(body).encode()

    await ask("PUT", "/v1/apps/{app}", sent(APP), app="gate")
    answer = (await ask("POST", "/v1/classify", IMAGE, query="?accuracy=0.5&app=gate")).json
    escalated = await ask("POST", "/v1/classify", IMAGE, query="?accuracy=0.9")
    assert escalated.status == 200
    form = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n%b\r\n'
    parts = form % IMAGE + form % b"no image" + b"--b--\r\n"
    many = await ask("POST", "/v1/classify", parts, "Content-Type: multipart/form-data; boundary=b")
    assert len(many.json["results"]) == 2
    assert (await ask("POST", "/v1/classify", IMAGE, query="?accuracy=0.999")).status == 422
    feedback = {"request_id": answer["request_id"], "label": "red"}
    await ask("POST", "/v1/feedback", sent(feedback))
    for path in ("/v1/apps/{app}", "/v1/apps/{app}/accuracy"):
        assert (await ask("GET", path, app="none")).status == 404
        await ask("GET", path, app="gate")
    opened = (await ask("POST", "/v1/streams", sent({"accuracy": 0.5, "suite": "none"}))).json
    await ask("POST", "/v1/streams", b"")
    await ask("GET", "/v1/streams/{id}", id=opened["id"])
    await ask("DELETE", "/v1/streams/{id}", id=opened["id"])
    seen.add(("GET", "/v1/streams/{id}/results"))  # never ends, and is no JSON
    task = "/v2/models/{task}"
    for path in (task, f"{task}/versions/{{version}}"):
        for more in ("", "/ready", "/config", "/stats"):
            await ask("GET", f"{path}{more}", task="tiny", version="1")
        length = "Inference-Header-Content-Length: 0"
        binary = await ask("POST", f"{path}/infer", IMAGE, length, task="tiny", version="1")
        assert binary.headers["content-type"] == "application/octet-stream"
        head = sent(
            {
                "id": "a",
                "inputs": [
                    {
                        "name": "image",
                        "datatype": "BYTES",
                        "shape": [1],
                        "parameters": {"binary_data_size": len(IMAGE) + 4},
                    }
                ],
            }
        )
        body = head + len(IMAGE).to_bytes(4, "little") + IMAGE
        length = f"Inference-Header-Content-Length: {len(head)}"
        assert (await ask("POST", f"{path}/infer", body, length, task="tiny", version="1")).json
        assert (await ask("POST", f"{path}/infer", sent(INFER), task="tiny", version="1")).status
    await ask("POST", "/v2/repository/index", b'{"ready": true}')
    for what in ("load", "unload", "load"):
        await ask("POST", f"/v2/repository/models/{{task}}/{what}", task="tiny")
    assert (await ask("POST", "/v2/repository/models/{task}/load", task="none")).status == 404
    await ask("DELETE", "/v1/apps/{app}", app="gate")
    for route in agent.routes:
        if route.method == "GET" and (route.method, route.path) not in seen:
            await ask("GET", route.path, task="tiny", version="1")
    assert {(route.method, route.path) for route in agent.routes} - seen == set()


async def test_with_keys_each_operation_says_its_scope(
    tiny_repository: Path, tmp_path: Path, document: Any
) -> None:
    assert "securitySchemes" not in document["components"]
    store_keys(tmp_path / "keys.toml", KeyFile())
    async with started(tiny_repository, keys=tmp_path / "keys.toml") as agent:
        found = (await exchange(agent, request("GET", "/openapi.json"))).json
        validate(found)
        for route in agent.routes:
            operation = found["paths"][route.path][route.method.lower()]
            if route.scope is Scope.PUBLIC:
                assert "security" not in operation
            else:
                assert {"bearer": [str(route.scope)]} in operation["security"]
        assert found["paths"] != document["paths"] == describe(agent.routes, keys=False)["paths"]


def test_what_is_no_type_of_json_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON schema"):
        Schemas().of(complex)


def test_samples_say_what_is_always_there() -> None:
    schemas = Schemas()
    schemas.of(Like("Pair", ({"a": 1, "b": [{"c": "x"}]}, {"a": None, "d": True})))
    assert schemas.named["Pair"] == {
        "type": "object",
        "properties": {
            "a": {"type": ["integer", "null"]},
            "b": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"c": {"type": "string"}},
                    "required": ["c"],
                },
            },
            "d": {"type": "boolean"},
        },
        "required": ["a"],
    }
