"""The stock `tritonclient.http` and curl call a real gateway process over REST."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from hawkvision.images import decode
from tests.models import LABELS, coloured_jpeg
from tests.processes import Service, gateway

RED = coloured_jpeg("red")


@pytest.fixture(scope="module")
def service(repository: Path) -> Iterator[Service]:
    with gateway(repository, "--http-port", "0") as served:
        yield served


@pytest.fixture(scope="module")
def address(service: Service) -> str:
    """HOST:PORT of the REST port, which the ready line names."""
    found = re.search(r"REST on port (\d+)", service.output)
    assert found is not None, service.output
    return f"127.0.0.1:{found[1]}"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as caller:
        yield caller


def ask(client: Any, images: list[bytes], **options: Any) -> Any:
    given = triton.InferInput("image", [len(images)], "BYTES")
    given.set_data_from_numpy(np.array(images, np.object_))
    return client.infer("tiny", [given], **options)


def labels(found: Any) -> list[str]:
    return [LABELS[index] for index in found.as_numpy("probabilities").argmax(axis=1)]


def test_the_server_and_its_model_are_ready_and_described(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2") and not client.is_model_ready("nothing")
    server = client.get_server_metadata()
    assert server["name"] == "hawkvision" and "binary_tensor_data" in server["extensions"]
    model = client.get_model_metadata("tiny", "1")
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert model["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}]
    config = client.get_model_config("tiny")
    assert config["output"][0]["dims"] == [-1, 4] and config["max_batch_size"] == 0


def test_a_batch_comes_back_in_order_with_its_id(client: Any) -> None:
    images = [coloured_jpeg(label, noise=5.0) for label in ("blue", "red", "green")]
    found = ask(client, images, request_id="a-1")
    assert labels(found) == ["blue", "red", "green"]
    assert found.get_response()["id"] == "a-1"


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_are_answered_like_the_image_that_they_are_of(client: Any, binary: bool) -> None:
    pixels = np.stack([decode(coloured_jpeg(label)) for label in ("green", "blue")])
    given = triton.InferInput("image", list(pixels.shape), "UINT8")
    given.set_data_from_numpy(pixels, binary_data=binary)
    wanted = [triton.InferRequestedOutput("probabilities", binary_data=binary)]
    assert labels(client.infer("tiny", [given], outputs=wanted)) == ["green", "blue"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_coded_requests_are_read(client: Any, coding: str) -> None:
    assert labels(ask(client, [RED], request_compression_algorithm=coding)) == ["red"]


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({"parameters": {"accuracy": 2.0}}, "400", "invalid_request: "),
        ({"parameters": {"deadline_ms": -1}}, "400", "deadline_ms must be in"),
        ({"query_params": {"deadline_ms": "never"}}, "400", "deadline_ms must be in"),
        ({"parameters": {"from_rung": 7}}, "400", "whole number from 1 to 1"),
        ({"timeout": -1}, "400", "timeout must be whole microseconds"),
        ({"model_version": "2"}, "404", "unknown_task: model 'tiny' has no version '2'"),
    ],
)
def test_refusals_are_read_by_the_stock_client(
    client: Any, options: dict[str, Any], status: str, text: str
) -> None:
    with pytest.raises(InferenceServerException, match=text) as error:
        ask(client, [RED], **options)
    assert error.value.status() == status


def test_one_image_that_is_none_refuses_the_batch(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="unsupported_image: image 1 of 2") as error:
        ask(client, [RED, b"no image"])
    assert error.value.status() == "400"


def test_statistics_count_requests_of_both_doors(client: Any) -> None:
    def counts() -> tuple[int, int]:
        (found,) = client.get_inference_statistics("tiny")["model_stats"]
        return found["inference_count"], found["inference_stats"]["fail"]["count"]

    before, failed = counts()
    ask(client, [RED, RED], query_params={"accuracy": "0.9", "deadline_ms": "60000"})
    with pytest.raises(InferenceServerException):
        ask(client, [b"no image"])
    assert counts() == (before + 2, failed + 1)
    assert [one["name"] for one in client.get_inference_statistics()["model_stats"]] == ["tiny"]


def test_what_serves_may_be_unloaded_and_loaded(client: Any) -> None:
    client.unload_model("tiny")
    try:
        assert not client.is_model_ready("tiny")
        with pytest.raises(InferenceServerException, match="unknown_task") as error:
            ask(client, [RED])
        assert error.value.status() == "404"
    finally:
        client.load_model("tiny")
    assert labels(ask(client, [RED])) == ["red"]
    assert "READY" in [one["state"] for one in client.get_model_repository_index()]
    with pytest.raises(InferenceServerException) as error:
        client.load_model("nothing")
    assert error.value.status() == "404"


def curl(*words: str) -> bytes:
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", *words], capture_output=True, check=True
    )
    return done.stdout


def test_curl_asks_for_an_image_as_it_is_and_for_metrics(address: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(RED)
    url = f"http://{address}"
    body = curl(
        *("-H", "Inference-Header-Content-Length: 0", "--data-binary", f"@{photo}"),
        f"{url}/v2/models/tiny/infer?accuracy=0.9",
    )
    assert np.frombuffer(body[-16:], "<f4").argmax() == LABELS.index("red")
    text = curl(f"{url}/metrics").decode()
    for family in ("connections ", "rung_images_total{", "errors_total{", "body_bytes "):
        assert f"\nhawkvision_{family}" in text
    assert json.loads(curl(f"{url}/v2/models/nothing")) == {
        "error": "unknown_task: no model 'nothing'. Models here: tiny."
    }


def test_without_the_option_no_port_is_open(repository: Path) -> None:
    with gateway(repository) as served:
        assert "REST" not in served.output
