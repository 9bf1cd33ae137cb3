"""The stock `tritonclient.grpc` calls a real gateway process."""

from __future__ import annotations

import io
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from hawkvision.oip import open_inference_pb2 as messages
from tests.models import coloured_jpeg
from tests.processes import gateway

LABELS = ("red", "green", "blue", "grey")


@pytest.fixture(scope="module")
def client(repository: Path) -> Iterator[Any]:
    with gateway(repository) as served, triton.InferenceServerClient(served.address) as caller:
        yield caller


def infer(client: Any, images: list[bytes], model: str = "tiny") -> npt.NDArray[np.float32]:
    tensor = triton.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, np.object_))
    output: npt.NDArray[np.float32] = client.infer(model, [tensor]).as_numpy("probabilities")
    return output


def test_the_server_is_live_and_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()


def test_a_served_model_is_ready_and_an_unknown_one_is_not(client: Any) -> None:
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2")
    assert not client.is_model_ready("nothing")


def test_the_metadata_names_the_tensors(client: Any) -> None:
    metadata = client.get_model_metadata("tiny", as_json=True)
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": ["-1"]}]
    assert metadata["outputs"][0]["shape"] == ["-1", "4"]


def test_one_jpeg_is_classified(client: Any) -> None:
    rows = infer(client, [coloured_jpeg("green", noise=5.0)])
    assert rows.shape == (1, 4)
    assert LABELS[int(rows[0].argmax())] == "green"


def test_a_batch_of_three_comes_back_in_order(client: Any) -> None:
    rows = infer(client, [coloured_jpeg(label, noise=5.0) for label in ("blue", "red", "green")])
    assert [LABELS[index] for index in rows.argmax(axis=1)] == ["blue", "red", "green"]


def test_an_unknown_model_is_not_found(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="unknown_task: no model 'nothing'") as error:
        infer(client, [coloured_jpeg("red")], model="nothing")
    assert error.value.status() == "StatusCode.NOT_FOUND"


def test_a_corrupt_image_is_an_invalid_argument(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="corrupt_image: ") as error:
        infer(client, [coloured_jpeg("red")[:200]])
    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_the_stock_messages_and_ours_live_in_one_process(client: Any) -> None:
    ours = messages.ModelInferRequest(model_name="tiny", raw_input_contents=[b"x"])
    theirs = triton.service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert theirs.model_name == "tiny"
    assert type(theirs) is not type(ours)


def test_configuration_statistics_and_index_are_as_stock_clients_read_them(client: Any) -> None:
    infer(client, [coloured_jpeg("red")] * 2)
    config = client.get_model_config("tiny", as_json=True)["config"]
    statistics = client.get_inference_statistics("tiny", as_json=True)["model_stats"][0]
    index = client.get_model_repository_index(as_json=True)["models"]
    assert config["input"] == [{"name": "image", "data_type": "TYPE_STRING", "dims": ["-1"]}]
    assert config["output"][0]["dims"] == ["-1", "4"]
    assert int(statistics["inference_count"]) >= 2
    assert int(statistics["inference_stats"]["success"]["count"]) >= 1
    assert index == [{"name": "tiny", "version": "1", "state": "READY"}]
    for asked in (client.get_model_config, client.get_inference_statistics):
        with pytest.raises(InferenceServerException) as error:
            asked("nothing")
        assert error.value.status() == "StatusCode.NOT_FOUND"


def test_loading_what_serves_changes_nothing_and_strange_names_are_refused(client: Any) -> None:
    client.load_model("tiny")
    assert client.is_model_ready("tiny")
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as error:
            change("nothing")
        assert error.value.status() == "StatusCode.NOT_FOUND"


def test_a_stock_stream_has_its_replies_and_its_errors(client: Any) -> None:
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: found.put((result, error)))
    try:
        for model in ("tiny", "nothing", "tiny"):
            tensor = triton.InferInput("image", [1], "BYTES")
            tensor.set_data_from_numpy(np.array([coloured_jpeg("blue")], np.object_))
            client.async_stream_infer(model, [tensor], request_id=model)
        replies = [found.get(timeout=60) for _ in range(3)]
    finally:
        client.stop_stream()
    assert [error is None for _, error in replies] == [True, False, True]
    assert replies[2][0].as_numpy("probabilities").argmax() == LABELS.index("blue")
    assert "unknown_task" in str(replies[1][1])


@pytest.mark.parametrize("how", ["gzip", "deflate"])
def test_a_compressed_request_is_answered(client: Any, how: str) -> None:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([coloured_jpeg("red")], np.object_))
    reply = client.infer("tiny", [tensor], compression_algorithm=how)
    assert reply.as_numpy("probabilities").argmax() == LABELS.index("red")


def test_plain_pixels_parameters_and_chosen_outputs_are_taken(client: Any) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(coloured_jpeg("green"))))[None]
    tensor = triton.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels)
    wanted = [triton.InferRequestedOutput("probabilities")]
    said = {"accuracy": 0.9, "deadline_ms": 60_000.0}
    reply = client.infer("tiny", [tensor], outputs=wanted, parameters=said, priority=1)
    assert reply.as_numpy("probabilities").argmax() == LABELS.index("green")
    for wrong in ({"accuracy": 2.0}, {"deadline_ms": -1.0}):
        with pytest.raises(InferenceServerException) as error:
            client.infer("tiny", [tensor], parameters=wrong)
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
