"""The agent over gRPC: what its REST face says of the same request, with stock clients."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from edge_agent.agent import Agent
from tests.edge_agent.agents import started
from tests.models import build_tiny_repository, coloured_jpeg

RED = coloured_jpeg("red")
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@asynccontextmanager
async def client(repository: Path, **settings: Any) -> AsyncIterator[tuple[Agent, Any]]:
    async with (
        started(repository, grpc_port=0, **settings) as agent,
        triton.InferenceServerClient(f"127.0.0.1:{agent.grpc_port}") as caller,
    ):
        yield agent, caller


def images(*encoded: bytes) -> list[Any]:
    tensor = triton.InferInput("image", [len(encoded)], "BYTES")
    tensor.set_data_from_numpy(np.array(encoded, np.object_))
    return [tensor]


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        await call
    return str(caught.value.status()), str(caught.value.message()).partition(":")[0]


async def test_images_are_answered_as_over_rest(repository: Path) -> None:
    async with client(repository) as (_, caller):
        reply = await caller.infer("tiny", images(RED, coloured_jpeg("blue")), request_id="a")
    assert list(reply.as_numpy("label")) == [b"red", b"blue"]
    assert reply.as_numpy("probabilities").shape == (2, 4)
    assert reply.as_numpy("served_by").shape == reply.as_numpy("request_id").shape == (2,)
    found = reply.get_response()
    assert found.id == "a"
    assert {"target", "threshold", "certified", "served_by"} <= set(found.parameters)


async def test_the_accuracy_is_a_parameter_and_one_that_none_can_promise_is_refused(
    repository: Path,
) -> None:
    async with client(repository) as (_, caller):
        reply = await caller.infer("tiny", images(RED), parameters={"accuracy": 0.8})
        wrong = await refusal(caller.infer("tiny", images(RED), parameters={"accuracy": 0.9999}))
        typo = await refusal(caller.infer("tiny", images(RED), parameters={"acuracy": 0.8}))
    assert reply.get_response().parameters["target"].double_param == 0.8
    assert wrong == ("StatusCode.INVALID_ARGUMENT", "target_unreachable")
    assert typo == ("StatusCode.INVALID_ARGUMENT", "invalid_request")


async def test_plain_pixels_are_taken_and_outputs_chosen(repository: Path) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(coloured_jpeg("green"))))[None]
    tensor = triton.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels)
    wanted = [triton.InferRequestedOutput("label")]
    async with client(repository) as (_, caller):
        reply = await caller.infer("tiny", [tensor], outputs=wanted)
        assert reply.as_numpy("label").tolist() == [b"green"]
        assert [one.name for one in reply.get_response().outputs] == ["label"]


async def test_without_a_gateway_the_edge_answers_within_the_call_s_deadline(
    repository: Path,
) -> None:
    async with client(repository) as (_, caller):
        reply = await caller.infer(
            "tiny", images(RED), parameters={"accuracy": 0.95}, client_timeout=10.0
        )
    assert reply.as_numpy("label").tolist() == [b"red"]


async def test_a_stream_is_answered(repository: Path) -> None:
    async def asked() -> AsyncIterator[dict[str, Any]]:
        for name in ("tiny", "none", "tiny"):
            yield {"model_name": name, "inputs": images(RED), "request_id": name}

    async with client(repository) as (_, caller):
        async with asyncio.timeout(30):
            found = [one async for one in caller.stream_infer(asked())]
    assert [error is None for _, error in found] == [True, False, True]
    assert "unknown_task" in str(found[1][1])


async def test_keys_are_asked_for_as_over_rest(repository: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"gate": KEY}))
    ours = {"authorization": f"Bearer {KEY}"}
    app = {"app": "gate"}
    async with client(repository, app_keys=keys) as (_, caller):
        anybody = await caller.infer("tiny", images(RED))
        nameless = await refusal(caller.infer("tiny", images(RED), parameters=app))
        load = await refusal(caller.load_model("tiny"))
        await caller.load_model("tiny", headers=ours)
        strange = await refusal(caller.load_model("none", headers=ours))
    assert anybody.as_numpy("label").tolist() == [b"red"]
    assert nameless == load == ("StatusCode.UNAUTHENTICATED", "unauthorized")
    assert strange == ("StatusCode.NOT_FOUND", "unknown_task")


async def test_what_it_says_of_itself_is_what_rest_says(repository: Path) -> None:
    async with client(repository) as (agent, caller):
        await caller.infer("tiny", images(RED))
        metadata = await caller.get_model_metadata("tiny", as_json=True)
        config = await caller.get_model_config("tiny", as_json=True)
        statistics = await caller.get_inference_statistics("tiny", as_json=True)
        index = await caller.get_model_repository_index(as_json=True)
        ready = await caller.is_model_ready("tiny"), await caller.is_model_ready("none")
        assert agent.rpc is not None
        leaving = asyncio.create_task(agent.rpc.drain(60.0, 0.0))
        await asyncio.sleep(0)
        drained = await caller.get_model_repository_index(as_json=True)
        leaving.cancel()
    names = [one["name"] for one in metadata["outputs"]]
    assert [one["name"] for one in config["config"]["output"]] == names
    assert config["config"]["input"][0]["data_type"] == "TYPE_STRING"
    assert statistics["model_stats"][0]["inference_count"] == "1"
    assert index["models"] == [{"name": "tiny", "version": "1", "state": "READY"}]
    assert drained["models"][0]["state"] == "UNAVAILABLE"
    assert ready == (True, False)


async def test_refusals_are_counted(repository: Path) -> None:
    async with client(repository) as (agent, caller):
        await refusal(caller.infer("tiny", images(b"nothing")))
        text = (await agent._scrape()).decode()
    assert 'code="unsupported_image"' in text
