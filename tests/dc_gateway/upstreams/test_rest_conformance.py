"""Over REST too a client sees the same, whoever computes: threads, processes, other servers."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dc_gateway.upstreams.forward import HOPS
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes
from tests.dc_gateway.http import exchange
from tests.dc_gateway.upstreams.kinds import gateway_of, hosted
from tests.dc_gateway.upstreams.test_forward import others
from tests.edge_agent.agents import request
from tests.models import coloured_jpeg
from tests.oip.calls import LENGTH, RestCall, calls

RED = coloured_jpeg("red")
OWN = {"index", "index of ready ones", "get /models/stats"}
"""What a gateway says of the models that it holds itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is compared of a reply: the status, and the error's code or the outputs."""

    status: int
    what: object


def ask(port: int, call: RestCall) -> Said:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        line.request(call.method, call.path, call.body, call.headers)
        reply = line.getresponse()
        body, length = reply.read(), reply.getheader(LENGTH)
        if not body:
            return Said(reply.status, None)
        head: Any = json.loads(body[: int(length)] if length else body)
        if reply.status >= 400:
            return Said(reply.status, head["error"].partition(":")[0])
        if isinstance(head, dict):
            return Said(reply.status, [set(head), head.get("outputs"), head.get("config")])
        return Said(reply.status, head)
    finally:
        line.close()


@contextmanager
def served_by(kind: str, repository: Path) -> Iterator[int]:
    """The REST port of a gateway whose answers are computed so."""
    if kind == "oip":
        with (
            hosted(repository) as upstream,
            hosted(repository, upstreams=(upstream.address,), http_port=0) as gateway,
        ):
            assert gateway.gateway.http_port is not None
            yield gateway.gateway.http_port
        return
    with hosted(repository, processes=int(kind == "processes"), http_port=0) as gateway:
        assert gateway.gateway.http_port is not None
        yield gateway.gateway.http_port


@pytest.fixture(scope="module")
def recorded(repository: Path) -> dict[str, Said]:
    with served_by("threads", repository) as port:
        return {call.name: ask(port, call) for call in calls(RED)}


@pytest.mark.parametrize("kind", ["processes", "oip"])
def test_every_call_is_answered_as_by_threads(
    kind: str, repository: Path, recorded: dict[str, Said]
) -> None:
    with served_by(kind, repository) as port:
        found = {call.name: ask(port, call) for call in calls(RED)}
    different = {name for name, said in found.items() if said != recorded[name]}
    if kind == "oip":
        different -= OWN | NOT_READY | AS_BYTES
    assert different == set()
    assert sum(said.status == 200 for said in found.values()) > 20


AS_BYTES = {"text for an image"}
"""Text is BYTES for a model that is elsewhere; that no image is text, the one that has it says."""

NOT_READY = {"get /models/none/ready", "get /models/tiny/versions/9/ready"}
"""Of what is elsewhere a gateway says 503: whether it is unknown there, or not ready yet, a server
of the protocol does not tell."""


async def test_tensors_of_any_kind_cross_to_another_server_and_back(repository: Path) -> None:
    """What it was sent, and what it answered: numbers, text, parameters, hops."""
    async with (
        others(1) as ([other], addresses),
        gateway_of(repository, upstreams=addresses, tasks=("tiny",), http_port=0) as (served, _),
    ):
        seen: list[Any] = []

        async def answer(asked: Any, _context: Any) -> Any:
            seen.append(asked)
            reply = messages.ModelInferResponse(model_name=asked.model_name, id=asked.id)
            reply.outputs.add(name="sum", datatype="INT64", shape=[1])
            reply.raw_output_contents.append(np.array([7], "<i8").tobytes())
            reply.outputs.add(name="text", datatype="BYTES", shape=[1])
            reply.raw_output_contents.append(pack_bytes(["ä".encode()]))
            reply.parameters["took"].double_param = 0.5
            return reply

        other.infer = answer
        body = json.dumps(
            {
                "id": "a",
                "inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1, 2.5]}],
                "parameters": {"deep": True},
            }
        ).encode()
        found = await exchange(served, request("POST", "/v2/models/theirs/infer", body))
    assert found.status == 200, found.body
    assert found.json == {
        "model_name": "theirs",
        "model_version": "",
        "id": "a",
        "parameters": {"took": 0.5},
        "outputs": [
            {"name": "sum", "datatype": "INT64", "shape": [1], "data": [7]},
            {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["ä"]},
        ],
    }
    (asked,) = seen
    assert asked.raw_input_contents[0] == np.array([1, 2.5], "<f8").tobytes()
    assert asked.parameters["deep"].bool_param and asked.parameters[HOPS].int64_param == 1


@pytest.mark.parametrize("broken", ["shape", "datatype"])
async def test_a_reply_that_cannot_be_read_is_the_upstream_s_fault(
    repository: Path, broken: str
) -> None:
    async with (
        others(1) as ([other], addresses),
        gateway_of(repository, upstreams=addresses, tasks=("tiny",), http_port=0) as (served, _),
    ):

        async def answer(_asked: Any, _context: Any) -> Any:
            reply = messages.ModelInferResponse()
            reply.outputs.add(name="x", datatype="FP32", shape=[3])
            reply.raw_output_contents.append(b"1234")
            if broken == "datatype":
                reply.outputs[0].datatype = "?"
            return reply

        other.infer = answer
        call = next(one for one in calls(RED) if one.name == "the image alone")
        path = "/v2/models/theirs/infer"
        found = await exchange(served, request("POST", path, call.body, f"{LENGTH}: 0"))
    assert (found.status, found.code) == (503, "upstream_unavailable")
    assert found.headers["retry-after"]


async def test_where_nobody_is_there_to_answer_the_server_is_not_ready(repository: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with gateway_of(repository, upstreams=(nowhere,), http_port=0) as (served, _):
            found = await exchange(served, request("GET", "/v2/models/tiny"))
            assert (found.status, found.code) == (503, "upstream_unavailable")
