"""The stock `tritonclient.http` calls a real edge agent; every call of the list is as recorded."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from edge_agent.agent import Agent
from hawkvision.images import ImageLimits, decode
from tests.edge_agent.agents import exchange, gateway_of, request, started
from tests.models import LABELS, coloured_jpeg
from tests.oip.calls import INFER, LENGTH, calls, infer, packed, tensor
from tests.processes import Service, edge, gateway

RED = coloured_jpeg("red")
OUTPUTS = ["probabilities", "label", "confidence", "certified", "served_by", "request_id"]


@pytest.fixture(scope="module")
def service(tiny_repository: Path) -> Iterator[Service]:
    with gateway(tiny_repository) as upper, edge(tiny_repository, upper.address) as served:
        yield served


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Any]:
    with triton.InferenceServerClient(service.address) as caller:
        yield caller


@pytest.fixture
async def agent(tiny_repository: Path) -> AsyncIterator[Agent]:
    async with gateway_of(tiny_repository) as upper, started(tiny_repository, gateway=upper) as one:
        yield one


def ask(client: Any, images: list[bytes], **options: Any) -> Any:
    given = triton.InferInput("image", [len(images)], "BYTES")
    given.set_data_from_numpy(np.array(images, np.object_))
    return client.infer("tiny", [given], **options)


def texts(found: Any, name: str) -> list[str]:
    return [one.decode() for one in found.as_numpy(name)]


def test_the_server_and_its_model_are_ready_and_described(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2") and not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tiny", "1")
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert [one["name"] for one in metadata["outputs"]] == OUTPUTS
    assert client.get_model_repository_index() == [
        {"name": "tiny", "version": "1", "state": "READY", "reason": ""}
    ]


def test_one_image_is_answered_with_what_the_metadata_announces(client: Any) -> None:
    found = ask(client, [RED], request_id="a-1", parameters={"accuracy": 0.7})
    announced = {one["name"]: one for one in client.get_model_metadata("tiny")["outputs"]}
    for one in found.get_response()["outputs"]:
        assert one["datatype"] == announced[one["name"]]["datatype"]
        assert len(one["shape"]) == len(announced[one["name"]]["shape"])
    assert found.get_response()["id"] == "a-1"
    assert texts(found, "label") == ["red"]
    assert LABELS[int(found.as_numpy("probabilities")[0].argmax())] == "red"
    said = found.get_response()["parameters"]
    assert (said["target"], said["certified"], said["served_by"]) == (0.7, True, "edge")


def test_a_batch_comes_back_in_order(client: Any) -> None:
    found = ask(client, [coloured_jpeg(label) for label in ("blue", "red", "green")])
    assert texts(found, "label") == ["blue", "red", "green"]
    assert found.as_numpy("probabilities").shape == (3, 4)


def test_what_the_edge_doubts_the_data_center_answers(client: Any) -> None:
    images = [coloured_jpeg(LABELS[seed % 4], seed) for seed in range(1, 25)]
    found = ask(client, images, parameters={"accuracy": 0.95, "deadline_ms": 60_000})
    assert set(texts(found, "served_by")) == {"edge", "dc"}
    assert found.get_response()["parameters"]["served_by"] == "mixed"


def test_pixels_are_answered_like_the_image_that_they_are_of(client: Any) -> None:
    pixels = np.stack([decode(coloured_jpeg(label)) for label in ("green", "blue")])
    for binary in (True, False):
        given = triton.InferInput("image", list(pixels.shape), "UINT8")
        given.set_data_from_numpy(pixels, binary_data=binary)
        found = client.infer("tiny", [given])
        assert texts(found, "label") == ["green", "blue"]
    of_files = ask(client, [coloured_jpeg(label) for label in ("green", "blue")])
    np.testing.assert_allclose(
        found.as_numpy("probabilities"), of_files.as_numpy("probabilities"), atol=0.02
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_coded_requests_are_read(client: Any, coding: str) -> None:
    found = ask(client, [RED], request_compression_algorithm=coding)
    assert texts(found, "label") == ["red"]


def test_outputs_come_as_they_are_asked_for(client: Any) -> None:
    wanted = [
        triton.InferRequestedOutput("label", binary_data=False),
        triton.InferRequestedOutput("probabilities", binary_data=True),
    ]
    found = ask(client, [RED], outputs=wanted)
    assert found.as_numpy("label").tolist() == ["red"]
    assert found.as_numpy("probabilities").shape == (1, 4)
    assert found.as_numpy("confidence") is None


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({"parameters": {"accuracy": 0.99999}}, "400", "target_unreachable: "),
        ({"parameters": {"accuracy": "much"}}, "400", "invalid_request: "),
        ({"parameters": {"acuracy": 0.9}}, "400", "unknown parameter 'acuracy'"),
        ({"parameters": {"task": "tiny"}}, "400", "unknown parameter 'task'"),
        ({"parameters": {"app": "nobody"}}, "404", "unknown_app: "),
        ({"timeout": -1}, "400", "timeout must be whole microseconds"),
        ({"model_version": "2"}, "404", "unknown_task: task 'tiny' has no version '2'"),
        ({"query_params": {"task": "other"}}, "400", "name different tasks"),
    ],
)
def test_refusals_are_read_by_the_stock_client(
    client: Any, options: dict[str, Any], status: str, text: str
) -> None:
    with pytest.raises(InferenceServerException, match=text) as error:
        ask(client, [RED], **options)
    assert error.value.status() == status


def test_one_image_that_is_none_refuses_the_batch(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="unsupported_image: ") as error:
        ask(client, [RED, b"no image"])
    assert error.value.status() == "400"


def test_statistics_count_every_door(client: Any, service: Service) -> None:
    def counts() -> tuple[int, int]:
        (found,) = client.get_inference_statistics("tiny")["model_stats"]
        parts = found["inference_stats"]
        assert parts["success"]["ns"] >= parts["compute_infer"]["ns"]
        return found["inference_count"], parts["fail"]["count"]

    before, failed = counts()
    ask(client, [RED, RED])
    with pytest.raises(InferenceServerException):
        ask(client, [b"no image"])
    assert counts() == (before + 2, failed + 1)
    every = client.get_inference_statistics()["model_stats"]
    assert [one["name"] for one in every] == ["tiny"]


# What a real Triton answers too, and where not, why: docs/oip.md.
RECORDED = {
    200: {
        "metadata ", "metadata /models/tiny", "metadata /models/tiny/versions/1",
        "get /health/live", "get /health/ready", "get /models/tiny/ready",
        "get /models/tiny/versions/1/ready", "get /models/tiny/stats", "get /models/stats",
        "get /models/tiny/versions/1/stats", "get /models/tiny/config", "index",
        "index of ready ones",
        "binary in, JSON out", "an id", "all binary", "one output", "one output binary",
        "one output not binary", "no outputs listed", "an output twice", "three images",
        "a version", "gzip with a length", "deflate with a length", "the image alone",
        "parameters of its own", "reserved parameters",
    },
    404: {
        "get /models/none", "get /models/none/ready", "get /models/tiny/versions/9",
        "get /models/tiny/versions/9/ready", "get /nothing", "get /models/tiny/versions/x",
        "get /models/none/stats", "an unknown version", "an unknown model",
    },
    405: {"wrong method", "wrong method of metadata"},
    415: {"an unknown coding"},
}  # fmt: skip
BINARY = {"all binary", "one output binary", "the image alone"}


async def test_every_call_is_answered_as_recorded(agent: Agent) -> None:
    statuses = {name: status for status, names in RECORDED.items() for name in names}
    seen = set()
    for call in calls(RED):
        headers = [f"{name}: {value}" for name, value in call.headers.items()]
        found = await exchange(agent, request(call.method, call.path, call.body, *headers))
        assert found.status == statuses.get(call.name, 400), (call.name, found.body)
        seen.add(call.name)
        if found.status != 200:
            assert isinstance(found.json["error"], str) and found.json.keys() == {"error"}
        assert (LENGTH.lower() in found.headers) is (call.name in BINARY), call.name
    assert statuses.keys() <= seen
    internal = agent.metrics.registry.get_sample_value(
        "hawkvision_errors_total", {"code": "internal"}
    )
    assert internal is None


async def send(agent: Agent, body: bytes, *headers: str) -> Any:
    return await exchange(agent, request("POST", INFER, body, *headers))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_coded_bomb_is_refused_within_the_limit(agent: Agent, coding: str) -> None:
    packer = gzip.compress if coding == "gzip" else zlib.compress
    bomb = packer(bytes(agent.config.max_body_bytes + 1))
    found = await send(agent, bomb, f"Content-Encoding: {coding}", f"{LENGTH}: 0")
    assert (found.status, found.code) == (413, "payload_too_large")
    assert agent.bodies.held == 0


async def test_inflated_bytes_count_among_all_that_are_held(tiny_repository: Path) -> None:
    async with started(tiny_repository, max_buffered_bytes=1_000_000) as agent:
        sent = gzip.compress(bytes(2_000_000))
        found = await send(agent, sent, "Content-Encoding: gzip", f"{LENGTH}: 0")
        assert (found.status, found.code) == (503, "overloaded")
        assert found.headers["retry-after"]
        assert agent.bodies.held == 0


async def test_pixels_beyond_the_limit_are_refused(tiny_repository: Path) -> None:
    async with started(tiny_repository, limits=ImageLimits(max_pixels=100)) as agent:
        pixels = bytes(11 * 10 * 3)
        head = {"inputs": [tensor(len(pixels), [1, 11, 10, 3], datatype="UINT8")]}
        call = infer("too large", head, pixels)
        found = await send(agent, call.body, f"{LENGTH}: {call.headers[LENGTH]}")
        assert (found.status, found.code) == (413, "payload_too_large")


async def test_answers_of_this_door_count_and_take_feedback(agent: Agent) -> None:
    call = infer("one", {"inputs": [tensor(4 + len(RED), [1])]}, packed(RED))
    found = await send(agent, call.body, f"{LENGTH}: {call.headers[LENGTH]}")
    outputs = {one["name"]: one for one in found.json["outputs"]}
    (request_id,) = outputs["request_id"]["data"]
    body = json.dumps({"request_id": request_id, "label": "red"}).encode()
    told = await exchange(agent, request("POST", "/v1/feedback", body))
    assert (told.status, told.json) == (202, {"counted": True})
    metric = agent.metrics.registry.get_sample_value(
        "hawkvision_request_seconds_count", {"task": "tiny", "served_by": "edge"}
    )
    assert metric == 1


async def test_the_query_stands_for_parameters_of_a_bare_image(agent: Agent) -> None:
    sent = request("POST", f"{INFER}?accuracy=0.7", RED, f"{LENGTH}: 0")
    found = await exchange(agent, sent)
    head = json.loads(found.body[: int(found.headers[LENGTH.lower()])])
    assert head["parameters"]["target"] == 0.7


async def test_while_draining_nothing_is_ready(agent: Agent) -> None:
    agent.entrance.draining = agent.service.draining = True
    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        assert (await exchange(agent, request("GET", path))).status == 503
    listed = await exchange(agent, request("POST", "/v2/repository/index", b'{"ready": true}'))
    assert listed.json == []
    every = await exchange(agent, request("POST", "/v2/repository/index"))
    assert [one["state"] for one in every.json] == ["UNAVAILABLE"]
