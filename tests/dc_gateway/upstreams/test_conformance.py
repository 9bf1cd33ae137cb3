"""Whoever computes the answers, a client sees the same: threads, processes, OIP servers, Ray.

Those on Ray run where Ray is installed (`pip install "hawkvision[ray]"`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import unpack_fp32
from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.upstreams.kinds import HAS_RAY, KINDS, served_by, stub_of
from tests.models import LABELS, coloured_jpeg

Code = grpc.StatusCode
_S = 60.0


@pytest.fixture(scope="module", params=KINDS)
def address(request: pytest.FixtureRequest, repository: Path) -> Iterator[str]:
    if request.param == "ray" and not HAS_RAY:
        pytest.skip("Ray is not installed: the gateway on Ray Serve is NOT TESTED here")
    with served_by(request.param, repository) as found:
        yield found


@pytest.fixture
def stub(address: str) -> Iterator[Any]:
    with stub_of(address) as found:
        yield found


def rows(reply: messages.ModelInferResponse) -> npt.NDArray[np.float32]:
    return unpack_fp32(reply.raw_output_contents[0], list(reply.outputs[0].shape))


def noisy(label: str, seed: int = 1) -> bytes:
    return coloured_jpeg(label, seed=seed, noise=5.0)


def refused(stub: Any, request: messages.ModelInferRequest, timeout: float = _S) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=timeout)
    return caught.value


def test_each_image_gets_the_row_that_the_rung_itself_gives(stub: Any, repository: Path) -> None:
    images = [noisy(label) for label in LABELS]
    reply = stub.ModelInfer(infer_request(*images), timeout=_S)
    task = Repository(repository).open("tiny")
    rung = LoadedRung.open(task.rungs[1], task.kind)
    expected = task.kind.encode(rung.predict([rung.prepare(image) for image in images]))
    rung.close()
    np.testing.assert_array_equal(rows(reply), expected["probabilities"])


def test_the_reply_names_model_version_and_request(stub: Any) -> None:
    reply = stub.ModelInfer(infer_request(noisy("red")), timeout=_S)
    assert (reply.model_name, reply.model_version, reply.id) == ("tiny", "1", "r1")


def test_calls_at_once_get_each_its_own_answer(stub: Any) -> None:
    labels = [LABELS[index % 4] for index in range(24)]

    def ask(index: int) -> str:
        reply = stub.ModelInfer(infer_request(noisy(labels[index], index)), timeout=_S)
        return LABELS[int(rows(reply)[0].argmax())]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(len(labels)))) == labels


def test_a_large_image_is_answered(stub: Any) -> None:
    large = coloured_jpeg("green", seed=1, noise=5.0, size=(1600, 1400))
    reply = stub.ModelInfer(infer_request(large), timeout=_S)
    assert LABELS[int(rows(reply)[0].argmax())] == "green"


@pytest.mark.parametrize(("model", "version"), [("nothing", ""), ("tiny", "7"), ("../tiny", "")])
def test_an_unknown_model_or_version_is_not_found(stub: Any, model: str, version: str) -> None:
    error = refused(stub, infer_request(noisy("red"), model=model, version=version))
    assert error.code() is Code.NOT_FOUND
    assert error.details().startswith("unknown_task: ")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (b"no image", "unsupported_image: image 1 of 2: "),
        (noisy("red")[:300], "corrupt_image: image 1 of 2: "),
        (noisy("red")[:-400], "corrupt_image: image 1 of 2: "),
    ],
    ids=["strange", "half a header", "half an image"],
)
def test_a_bad_image_is_the_callers_fault_and_is_named(stub: Any, image: bytes, said: str) -> None:
    error = refused(stub, infer_request(noisy("red"), image))
    assert error.code() is Code.INVALID_ARGUMENT
    assert error.details().startswith(said)


def test_too_many_images_are_refused(stub: Any) -> None:
    error = refused(stub, infer_request(*[noisy("red")] * 65))
    assert error.code() is Code.INVALID_ARGUMENT
    assert error.details().startswith("payload_too_large: ")


def test_a_wrong_tensor_is_refused(stub: Any) -> None:
    request = infer_request(noisy("red"))
    request.inputs[0].name = "pixels"
    error = refused(stub, request)
    assert error.code() is Code.INVALID_ARGUMENT
    assert error.details().startswith("invalid_request: no input named 'pixels'")


def test_no_refusal_shows_our_insides(stub: Any) -> None:
    for request in (infer_request(b""), infer_request(noisy("red"), model="\x00" * 300)):
        assert "Traceback" not in refused(stub, request).details()


def test_a_deadline_ends_a_call_and_not_the_next(stub: Any) -> None:
    large = coloured_jpeg("red", size=(1400, 1400))  # 64 of them are not decoded in a millisecond
    assert refused(stub, infer_request(*[large] * 64), 1e-3).code() is Code.DEADLINE_EXCEEDED
    assert stub.ModelInfer(infer_request(noisy("red")), timeout=_S).model_name == "tiny"


def test_server_and_model_are_ready_and_describe_themselves(stub: Any) -> None:
    assert stub.ServerLive(messages.ServerLiveRequest(), timeout=_S).live
    assert stub.ServerReady(messages.ServerReadyRequest(), timeout=_S).ready
    assert stub.ModelReady(messages.ModelReadyRequest(name="tiny"), timeout=_S).ready
    assert not stub.ModelReady(messages.ModelReadyRequest(name="nothing"), timeout=_S).ready
    found = stub.ModelMetadata(messages.ModelMetadataRequest(name="tiny"), timeout=_S)
    assert (found.platform, list(found.versions)) == ("onnxruntime_onnx", ["1"])
    assert [tensor.name for tensor in found.outputs] == ["probabilities"]


def test_configuration_and_statistics_are_of_whoever_computes(stub: Any) -> None:
    config = stub.ModelConfig(messages.ModelConfigRequest(name="tiny"), timeout=_S).config
    assert (config.platform, [one.name for one in config.output]) == (
        "onnxruntime_onnx",
        ["probabilities"],
    )
    asked = messages.ModelStatisticsRequest(name="tiny")
    (before,) = stub.ModelStatistics(asked, timeout=_S).model_stats
    stub.ModelInfer(infer_request(noisy("red"), noisy("blue")), timeout=_S)
    (after,) = stub.ModelStatistics(asked, timeout=_S).model_stats
    assert after.inference_count == before.inference_count + 2
    for method, kind in (
        (stub.ModelConfig, messages.ModelConfigRequest),
        (stub.ModelStatistics, messages.ModelStatisticsRequest),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            method(kind(name="nothing"), timeout=_S)
        assert caught.value.code() is Code.NOT_FOUND


def test_a_stream_has_a_reply_to_each_request(stub: Any) -> None:
    asked = [infer_request(noisy("red")), infer_request(b"no image"), infer_request(noisy("blue"))]
    replies = list(stub.ModelStreamInfer(iter(asked), timeout=_S))
    assert [one.error_message.partition(":")[0] for one in replies] == ["", "unsupported_image", ""]
    assert [one.infer_response.id for one in replies] == ["r1"] * 3
    found = [LABELS[int(rows(one.infer_response)[0].argmax())] for one in (replies[0], replies[2])]
    assert found == ["red", "blue"]
    assert all(one.infer_response.parameters["triton_final_response"].bool_param for one in replies)


def test_a_stream_ends_with_its_first_error_where_the_client_asks_for_that(stub: Any) -> None:
    asked = [infer_request(noisy("red")), infer_request(b"no image"), infer_request(noisy("blue"))]
    metadata = (("triton_grpc_error", "true"),)
    replies = stub.ModelStreamInfer(iter(asked), timeout=_S, metadata=metadata)
    assert LABELS[int(rows(next(replies).infer_response)[0].argmax())] == "red"
    with pytest.raises(grpc.RpcError) as caught:
        next(replies)
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("unsupported_image: ")


def test_the_index_is_of_what_is_held_here_and_nobody_changes_it_elsewhere(
    stub: Any, address: str
) -> None:
    stub.RepositoryIndex(messages.RepositoryIndexRequest(), timeout=_S)
    for method, kind in (
        (stub.RepositoryModelLoad, messages.RepositoryModelLoadRequest),
        (stub.RepositoryModelUnload, messages.RepositoryModelUnloadRequest),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            method(kind(model_name="nothing"), timeout=_S)
        assert caught.value.code() in (Code.NOT_FOUND, Code.UNIMPLEMENTED)


def test_health_checks_are_answered(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        health = HealthStub(channel)  # type: ignore[no-untyped-call]
        reply = health.Check(HealthCheckRequest(), timeout=_S)
    assert reply.status == HealthCheckResponse.SERVING
