"""The stock `tritonclient.grpc` calls a real gateway process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton
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
