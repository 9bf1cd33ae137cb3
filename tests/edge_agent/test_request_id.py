"""One id for a request: in its answer, in the agent's log, in the gateway's, at every door."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from edge_agent.agent import Agent
from hawkvision.images import ImageLimits
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.serving.access.keyfile import KeyFile
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.logs import JsonLines
from tests.dc_gateway import http as rest
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.conftest import Serve
from tests.dc_gateway.conftest import repository as repository
from tests.dc_gateway.conftest import serve as serve
from tests.edge_agent.agents import Reply, exchange, request, started
from tests.edge_agent.http.test_keys import bearer, guarded, one
from tests.models import coloured_jpeg

IMAGE = coloured_jpeg("red")
CLASSIFY = "/v1/classify?accuracy=0.5"
ESCALATES = "/v1/classify?accuracy=relative:0.0001"
MINE = "X-Request-ID: order-7"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"
MADE = re.compile(r"[0-9a-f]{16}")

OURS = ("edge_agent.", "dc_gateway.", "hawkvision.")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What was logged so far, as `--log-format json` has it."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(JsonLines())
    return lambda: [json.loads(line) for line in caplog.text.splitlines()]


def about(found: list[dict[str, Any]], named: str) -> list[str]:
    return [
        line["message"]
        for line in found
        if line.get("request") == named and line["logger"].startswith(OURS)
    ]


async def classify(agent: Agent, path: str, *headers: str, whole: bool = True) -> Reply:
    """The fast way, or aiohttp's, which multipart bodies go."""
    if whole:
        return await exchange(agent, request("POST", path, IMAGE, *headers))
    part = b"--b\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
    body = part + IMAGE + b"\r\n--b--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b"
    return await exchange(agent, request("POST", path, body, kind, *headers))


both = pytest.mark.parametrize("whole", [True, False], ids=["fast", "aiohttp"])


@both
async def test_the_usual_answer_has_no_id_and_one_that_is_asked_for_it_has_it(
    tiny_repository: Path, whole: bool, lines: Lines
) -> None:
    async with started(tiny_repository, audit_share=0.0) as agent:
        usual = await classify(agent, CLASSIFY, whole=whole)
        named = await classify(agent, CLASSIFY, MINE, whole=whole)
        traced = await classify(agent, CLASSIFY, TRACED, whole=whole)
        hostile = await classify(agent, CLASSIFY, "X-Request-ID: a b<script>", whole=whole)
    assert [reply.status for reply in (usual, named, traced, hostile)] == [200] * 4
    assert "x-request-id" not in usual.headers
    assert named.headers["x-request-id"] == "order-7"
    assert traced.headers["x-request-id"] == TRACE
    assert "x-request-id" not in hostile.headers
    assert not [line for line in lines() if "request" in line]


@both
async def test_a_refusal_and_its_line_have_the_same_id(
    tiny_repository: Path, whole: bool, lines: Lines
) -> None:
    async with started(tiny_repository, audit_share=0.0) as agent:
        named = await classify(agent, f"{CLASSIFY}&task=none", MINE, whole=whole)
        made = await classify(agent, f"{CLASSIFY}&task=none", whole=whole)
        hostile = await classify(agent, f"{CLASSIFY}&task=none", "X-Request-ID: {}", whole=whole)
    said = ["POST /v1/classify is refused: unknown_task"]
    assert [reply.status for reply in (named, made, hostile)] == [404] * 3
    assert named.headers["x-request-id"] == "order-7"
    for reply in (named, made, hostile):
        assert about(lines(), reply.headers["x-request-id"]) == said
    assert MADE.fullmatch(made.headers["x-request-id"])
    assert MADE.fullmatch(hostile.headers["x-request-id"])


@both
async def test_the_audit_log_names_who_was_refused(
    tiny_repository: Path, tmp_path: Path, whole: bool, lines: Lines
) -> None:
    found = KeyFile((one("classify", Scope.CLASSIFY), one("gate", Scope.CLASSIFY, apps=("gate",))))
    async with guarded(tiny_repository, tmp_path, found) as agent:
        made = await classify(agent, CLASSIFY, whole=whole)
        named = await classify(agent, CLASSIFY, MINE, whole=whole)
        other = await classify(agent, f"{CLASSIFY}&app=other", bearer("gate"), whole=whole)
    assert [reply.status for reply in (made, named, other)] == [401, 401, 403]
    for reply in (made, named, other):
        denied, refused = about(lines(), reply.headers["x-request-id"])
        assert json.loads(denied)["request"] == reply.headers["x-request-id"]
        assert "is refused: " in refused


async def test_a_fault_of_ours_is_found_by_the_id_that_the_client_has(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    async with started(tiny_repository, audit_share=0.0) as agent:

        def fails(*_arguments: object) -> None:
            raise RuntimeError("a fault")

        monkeypatch.setattr(agent.classifier, "resolve", fails)
        for whole in (True, False):
            reply = await classify(agent, CLASSIFY, whole=whole)
            assert reply.status == 500
            said = about(lines(), reply.headers["x-request-id"])
            assert said == ["unexpected error in POST /v1/classify"]


@both
async def test_an_answer_that_is_degraded_has_an_id(
    tiny_repository: Path, whole: bool, lines: Lines
) -> None:
    async with started(tiny_repository, audit_share=0.0) as agent:
        reply = await classify(agent, ESCALATES, whole=whole)
    assert reply.json["degraded"] == "dc_unreachable"
    said = about(lines(), reply.headers["x-request-id"])
    assert "task tiny: an answer is degraded: dc_unreachable" in said


async def test_unknown_paths_and_probes_say_what_they_were_sent(tiny_repository: Path) -> None:
    async with started(tiny_repository, audit_share=0.0) as agent:
        for method, path in (
            *(("GET", "/nowhere"), ("PUT", "/v1/classify")),
            *(("GET", "/v2/health/ready"), ("GET", "/v2")),
        ):
            reply = await exchange(agent, request(method, path, b"", MINE))
            assert reply.headers["x-request-id"] == "order-7", path
            reply = await exchange(agent, request(method, path))
            assert "x-request-id" not in reply.headers


async def test_pages_of_allowed_origins_may_send_and_read_it(tiny_repository: Path) -> None:
    origin = "Origin: https://shop.example"
    async with started(tiny_repository, cors_origins=("https://shop.example",)) as agent:
        asked = await exchange(agent, request("OPTIONS", "/v1/classify", b"", origin))
        answer = await classify(agent, CLASSIFY, MINE, origin)
    assert "X-Request-ID" in asked.headers["access-control-allow-headers"]
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


@both
async def test_the_gateway_s_lines_have_the_id_of_the_agent_s(
    repository: Path, serve: Serve, whole: bool, lines: Lines
) -> None:
    async with (
        serve(limits=ImageLimits(max_pixels=16)) as served,
        started(repository, gateway=served.address, audit_share=0.0) as agent,
    ):
        for headers in ((MINE,), (TRACED,), ()):
            reply = await classify(agent, ESCALATES, *headers, whole=whole)
            assert reply.json["degraded"] == "rejected"
            said = about(lines(), reply.headers["x-request-id"])
            assert "a call is refused: payload_too_large" in said
            assert "task tiny: an answer is degraded: rejected" in said


async def called(stub: Any, asked: messages.ModelInferRequest, *metadata: Any) -> tuple[Any, Any]:
    """The status, and the id among the trailing metadata."""
    call = stub.ModelInfer(asked, metadata=metadata)
    code, trailing = await call.code(), dict(await call.trailing_metadata() or ())
    return code, trailing.get("x-request-id")


async def check_grpc(address: str, lines: Lines) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        good, bad = infer_request(IMAGE), infer_request(IMAGE, model="none")
        mine = ("x-request-id", "order-7")
        assert await called(stub, good) == (grpc.StatusCode.OK, None)
        assert await called(stub, good, mine) == (grpc.StatusCode.OK, "order-7")
        assert await called(stub, bad, mine) == (grpc.StatusCode.NOT_FOUND, "order-7")
        assert about(lines(), "order-7") == ["a call is refused: unknown_task"]
        for metadata in ((), (("x-request-id", "a b"),)):
            code, made = await called(stub, bad, *metadata)
            assert code is grpc.StatusCode.NOT_FOUND
            assert MADE.fullmatch(made)
            assert about(lines(), made) == ["a call is refused: unknown_task"]


async def test_over_grpc_an_agent_says_it_in_trailing_metadata(
    repository: Path, lines: Lines
) -> None:
    async with started(repository, grpc_port=0, audit_share=0.0) as agent:
        await check_grpc(f"127.0.0.1:{agent.grpc_port}", lines)


async def test_over_grpc_a_gateway_does_too(serve: Serve, lines: Lines) -> None:
    async with serve() as served:
        await check_grpc(served.address, lines)


async def test_a_stream_s_refusals_have_the_stream_s_id(serve: Serve, lines: Lines) -> None:
    async with serve() as served:
        stream = served.stub.ModelStreamInfer(metadata=(("x-request-id", "order-7"),))
        await stream.write(infer_request(IMAGE, model="none"))
        assert (await stream.read()).error_message.startswith("unknown_task")
        await stream.done_writing()
    assert about(lines(), "order-7") == ["a call is refused: unknown_task"]


async def test_the_gateway_s_http_port_says_it(serve: Serve, lines: Lines) -> None:
    async with serve(http_port=0) as served:
        gateway = served.gateway
        good = rest.asking(IMAGE).replace(b"\r\n", f"\r\n{MINE}\r\n".encode(), 1)
        usual, named = await asyncio.gather(
            rest.exchange(gateway, rest.asking(IMAGE)), rest.exchange(gateway, good)
        )
        refused = await rest.exchange(gateway, request("GET", "/v2/models/none"))
    assert (usual.status, named.status, refused.status) == (200, 200, 404)
    assert "x-request-id" not in usual.headers
    assert named.headers["x-request-id"] == "order-7"
    said = about(lines(), refused.headers["x-request-id"])
    assert said == ["GET /v2/models/{task} is refused: unknown_task"]


async def test_a_gateway_hands_the_id_on_to_other_servers(serve: Serve, lines: Lines) -> None:
    async with serve() as last, serve(upstreams=(last.address,)) as first:
        code, named = await called(
            first.stub, infer_request(IMAGE, model="none"), ("x-request-id", "order-7")
        )
    assert (code, named) == (grpc.StatusCode.NOT_FOUND, "order-7")
    said = about(lines(), "order-7")
    assert said.count("a call is refused: unknown_task") == 2
    assert any(line.startswith("upstream ") for line in said)
