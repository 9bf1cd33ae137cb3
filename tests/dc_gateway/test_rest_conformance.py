"""REST at the gateway: every call as recorded, as the agent's REST, and as the gateway's gRPC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from hawkvision.errors import HawkVisionError
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.plain import plain
from hawkvision.oip.relay import message_of
from hawkvision.oip.rest import parse_infer
from tests.dc_gateway.conftest import Serve
from tests.dc_gateway.http import exchange, send
from tests.edge_agent.agents import Reply, request, started
from tests.edge_agent.agents import exchange as exchange_with_agent
from tests.models import coloured_jpeg
from tests.oip.calls import LENGTH, RestCall, calls

RED = coloured_jpeg("red")
CALLS = list(calls(RED))
INFERENCES = [call for call in CALLS if call.path.endswith("/infer") and call.method == "POST"]

OUTPUTS_OF_ANSWERS = {
    *("one output", "one output binary", "one output not binary", "an output twice"),
}
"""They ask for `label`, which agents have and gateways have not."""

PASSED_OVER = {"parameters that nobody knows"}
"""An agent refuses what it does not know, a gateway leaves it to whoever comes after."""

STATUS = {
    "INVALID_ARGUMENT": {400, 413, 415, 422},
    "NOT_FOUND": {404},
    "UNIMPLEMENTED": {501},
}


def kind_of(reply: Reply) -> object:
    """Status, media type, where JSON ends if it does, and an error's code."""
    failed = reply.status >= 400 and bool(reply.body)
    return (
        reply.status,
        reply.headers.get("content-type"),
        LENGTH.lower() in reply.headers,
        reply.code if failed else bool(reply.body),
    )


async def test_every_call_is_answered_as_by_the_agent(serve: Serve, repository: Path) -> None:
    different = set()
    async with serve(http_port=0) as served, started(repository) as agent:
        for call in CALLS:
            ours = await send(served.gateway, call)
            headers = [f"{name}: {value}" for name, value in call.headers.items()]
            theirs = await exchange_with_agent(
                agent, request(call.method, call.path, call.body, *headers)
            )
            if kind_of(ours) != kind_of(theirs):
                different.add(call.name)
    assert different == OUTPUTS_OF_ANSWERS | PASSED_OVER


async def test_errors_read_as_the_agent_s(serve: Serve, repository: Path) -> None:
    """Word by word, but for how each names what it serves."""
    naming = {"an unknown output", "an unknown version", "an unknown model"} | OUTPUTS_OF_ANSWERS
    async with serve(http_port=0) as served, started(repository) as agent:
        for call in INFERENCES:
            ours = await send(served.gateway, call)
            if ours.status < 400 or call.name in naming:
                continue
            headers = [f"{name}: {value}" for name, value in call.headers.items()]
            theirs = await exchange_with_agent(
                agent, request(call.method, call.path, call.body, *headers)
            )
            assert ours.json == theirs.json, call.name


def as_message(call: RestCall) -> Any:
    """The same inference for gRPC, or None for what cannot be said there."""
    if "Content-Encoding" in call.headers or call.name == "text for an image":
        return None
    version = call.path.partition("/versions/")[2].partition("/")[0]
    name = call.path.split("/")[3]
    try:
        return message_of(name, version, parse_infer(call.body, call.headers.get(LENGTH)))
    except (HawkVisionError, ValueError):
        return None


async def test_every_inference_is_answered_as_over_grpc(serve: Serve) -> None:
    compared = 0
    async with serve(http_port=0) as served:
        for call in INFERENCES:
            message = as_message(call)
            if message is None:
                continue
            compared += 1
            ours = await send(served.gateway, call)
            try:
                reply = await served.stub.ModelInfer(message, timeout=60)
            except grpc.aio.AioRpcError as error:
                assert ours.status in STATUS[error.code().name], call.name
                assert ours.json == {"error": error.details()}, call.name
                continue
            assert ours.status == 200, call.name
            length = ours.headers.get(LENGTH.lower())
            head = json.loads(ours.body[: int(length)] if length else ours.body)
            (output,) = head["outputs"]
            assert output["shape"] == list(reply.outputs[0].shape)
            raw = ours.body[int(length) :] if length else np.array(output["data"], "<f4").tobytes()
            assert raw == reply.raw_output_contents[0], call.name
            assert head.get("id", "") == reply.id
    assert compared > 25


@pytest.mark.parametrize(
    ("path", "method", "kind"),
    [
        ("/v2/models/tiny", "ModelMetadata", "ModelMetadataRequest"),
        ("/v2/models/tiny/config", "ModelConfig", "ModelConfigRequest"),
        ("/v2/models/tiny/stats", "ModelStatistics", "ModelStatisticsRequest"),
    ],
)
async def test_descriptions_are_those_of_grpc(
    serve: Serve, path: str, method: str, kind: str
) -> None:
    async with serve(http_port=0) as served:
        found = await exchange(served.gateway, request("GET", path))
        told = plain(await getattr(served.stub, method)(getattr(messages, kind)(name="tiny")))
    assert found.json == told.get("config", told)


async def test_clients_load_nothing_where_that_is_not_allowed(serve: Serve) -> None:
    async with serve(http_port=0, model_control=False) as served:
        for change in ("load", "unload"):
            path = f"/v2/repository/models/tiny/{change}"
            found = await exchange(served.gateway, request("POST", path))
            assert (found.status, found.code) == (501, "not_supported")
        assert (await exchange(served.gateway, request("POST", "/v2/repository/index"))).json == [
            {"name": "tiny", "version": "1", "state": "READY", "reason": ""}
        ]
