"""The table of routes: keys by scope, HEAD beside GET, wrong methods and paths, faults of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.agent import Agent
from edge_agent.metrics import AgentMetrics
from hawkvision.errors import DeadlineExceeded, HawkVisionError, Overloaded
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.access.scopes import WITHOUT_A_KEY, Scope
from hawkvision.serving.http.routes import Entrance, Handler, Route, application
from hawkvision.serving.http.shapes import Shape
from tests.edge_agent.agents import Reply, exchange, request, started
from tests.models import coloured_jpeg

KEYS = {"gate": "g" * 20, "belt": "b" * 20, "": "n" * 20}
APP = json.dumps({"task": "tiny", "accuracy": 0.7}).encode()


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with started(tiny_repository) as agent:
        yield agent


@pytest.fixture
async def keyed(tiny_repository: Path, tmp_path: Path) -> AsyncIterator[Agent]:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(KEYS))
    async with started(tiny_repository, app_keys=keys) as agent:
        yield agent


def filled(path: str) -> str:
    filling = {"{app}": "gate", "{task}": "tiny", "{id}": "nobody", "{version}": "1"}
    for name, value in filling.items():
        path = path.replace(name, value)
    return path


def authorized(app: str) -> str:
    return f"Authorization: Bearer {KEYS[app]}"


async def test_with_keys_on_every_route_but_probes_refuses_who_has_none(keyed: Agent) -> None:
    closed = [route for route in keyed.routes if route.scope not in {Scope.PUBLIC, *WITHOUT_A_KEY}]
    assert {route.scope for route in closed} == {Scope.FEEDBACK, Scope.TARGETS, Scope.MODELS}
    for route in closed:
        for headers in ((), ("Authorization: Bearer " + "x" * 20,), ("Authorization: \xff",)):
            sent = request(route.method, filled(route.path), APP, *headers)
            reply = await exchange(keyed, sent)
            assert (reply.status, reply.code) == (401, "unauthorized"), route
            assert reply.headers["www-authenticate"] == "Bearer"


async def test_with_keys_on_an_app_s_path_needs_that_app_s_key(keyed: Agent) -> None:
    for route in keyed.routes:
        if route.scope is Scope.TARGETS and "{app}" in route.path:
            for app, refused in (("belt", True), ("gate", False)):
                sent = request(route.method, filled(route.path), APP, authorized(app))
                assert ((await exchange(keyed, sent)).status == 403) is refused, route


async def test_feedback_needs_the_key_of_the_answer_s_app(keyed: Agent) -> None:
    answered = await exchange(
        keyed, request("POST", "/v1/classify?accuracy=0.5", coloured_jpeg("red"))
    )
    feedback = json.dumps({"request_id": answered.json["request_id"], "label": "red"}).encode()
    statuses = [
        (await exchange(keyed, request("POST", "/v1/feedback", feedback, authorized(app)))).status
        for app in ("gate", "")
    ]
    assert statuses == [403, 202]


async def test_public_routes_need_no_key(keyed: Agent) -> None:
    for route in keyed.routes:
        if route.scope is Scope.PUBLIC:
            reply = await exchange(keyed, request(route.method, filled(route.path)))
            assert reply.status != 401, route


async def test_without_keys_everybody_may_do_everything(agent: Agent) -> None:
    assert (await exchange(agent, request("PUT", "/v1/apps/gate", APP))).status == 200
    assert (await exchange(agent, request("DELETE", "/v1/apps/gate"))).status == 204


async def test_head_answers_as_get_does_without_its_body(agent: Agent) -> None:
    for route in agent.routes:
        if route.method != "GET" or route.path == "/metrics":
            continue
        get = await exchange(agent, request("GET", filled(route.path)))
        head = await exchange(agent, request("HEAD", filled(route.path)))
        assert (head.status, head.body) == (get.status, b""), route
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_head_of_metrics_and_of_a_stream_s_results_ends(agent: Agent) -> None:
    opened = (await exchange(agent, request("POST", "/v1/streams"))).json
    for path in ("/metrics", f"/v1/streams/{opened['id']}/results"):
        assert (await exchange(agent, request("HEAD", path))).status == 200


async def test_a_wrong_method_is_told_the_right_ones(agent: Agent) -> None:
    allowed: dict[str, set[str]] = {}
    for route in agent.routes:
        allowed.setdefault(route.path, set()).add(route.method)
    for path, methods in allowed.items():
        reply = await exchange(agent, request("PATCH", filled(path)))
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        named = set(reply.headers["allow"].split(", "))
        assert named == methods | ({"HEAD"} if "GET" in methods else set())


async def test_no_key_and_no_method_opens_a_path_that_is_none(keyed: Agent) -> None:
    for method in ("GET", "POST", "HEAD"):
        assert (await exchange(keyed, request(method, "/v9/nothing"))).status == 404


async def raised(error: Exception) -> tuple[Reply, AgentMetrics]:
    """What a client gets of a handler that raises this."""

    async def handler(_request: web.Request) -> web.Response:
        raise error

    return await served(handler)


async def served(handler: Handler) -> tuple[Reply, AgentMetrics]:
    metrics = AgentMetrics()
    entrance = Entrance(Guard(None), metrics.refused)
    app = application([Route("GET", "/x", handler, Scope.PUBLIC, Shape())], entrance)
    async with TestClient(TestServer(app)) as client, client.get("/x") as reply:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Reply(reply.status, headers, await reply.read()), metrics


def errors(metrics: AgentMetrics, code: str) -> float | None:
    return metrics.registry.get_sample_value("hawkvision_errors_total", {"code": code})


async def test_what_a_handler_refuses_is_put_into_words_and_counted() -> None:
    reply, metrics = await raised(Overloaded("busy", retry_after_s=7))
    assert (reply.status, reply.code) == (503, "overloaded")
    assert reply.headers["retry-after"] == "7"
    assert errors(metrics, "overloaded") == 1


async def test_an_answer_that_comes_too_late_is_an_overload_not_a_fault() -> None:
    reply, _ = await raised(DeadlineExceeded("too late"))
    assert (reply.status, reply.code) == (503, "deadline_exceeded")
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("error", [ValueError("a secret"), HawkVisionError("said on purpose")])
async def test_a_fault_of_ours_is_500_and_an_unforeseen_one_tells_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reply, metrics = await raised(error)
    assert (reply.status, reply.code) == (500, "internal")
    assert b"secret" not in reply.body
    assert errors(metrics, "internal") == 1
    assert ("a secret" in caplog.text) is isinstance(error, ValueError)


async def test_while_draining_connections_close_after_their_answer(agent: Agent) -> None:
    agent.entrance.draining = agent.service.draining = True
    reply = await exchange(agent, request("GET", "/v2/health/ready"))
    assert (reply.status, reply.headers["connection"]) == (503, "close")
    assert (await exchange(agent, request("GET", "/v2/health/live"))).status == 200
