"""JSON and binary tensors: what stock clients write is read, whatever else is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from hawkvision.errors import InvalidRequest, PayloadTooLarge
from hawkvision.oip.codec import pack_bytes
from hawkvision.oip.messages import InferReply, InferRequest, OutputTensor, WantedOutput
from hawkvision.oip.pictures import pictures_of
from hawkvision.oip.rest import MAX_JSON, parse_infer, write_reply
from tests.oip.calls import LENGTH, calls

IMAGES = st.lists(st.binary(max_size=40), min_size=1, max_size=4)


def stock(
    tensor: np.ndarray[Any, Any], datatype: str, *, binary: bool = True, **options: Any
) -> InferRequest:
    """What we read of a request that tritonclient writes."""
    given = InferInput("image", list(tensor.shape), datatype)
    given.set_data_from_numpy(tensor, binary_data=binary)
    body, size = InferenceServerClient.generate_request_body([given], **options)
    return parse_infer(body, None if size is None else str(size))


def objects(images: list[bytes]) -> np.ndarray[Any, Any]:
    found = np.empty(len(images), np.object_)
    found[:] = images
    return found


@given(IMAGES, st.text(max_size=20))
def test_what_the_stock_client_packs_is_unpacked(images: list[bytes], name: str) -> None:
    request = stock(objects(images), "BYTES", request_id=name)
    assert pictures_of(request, 8) == images
    assert (request.id, request.outputs, request.binary) == (name, (), True)


@given(IMAGES)
def test_a_column_of_images_is_read_too(images: list[bytes]) -> None:
    request = stock(objects(images).reshape(-1, 1), "BYTES")
    assert pictures_of(request, 8) == images


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_are_read_as_bytes_and_as_json(binary: bool) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 4, 3), np.uint8)
    found = pictures_of(stock(pixels, "UINT8", binary=binary), 8)
    assert [np.asarray(one).tolist() for one in found] == pixels.tolist()


def test_nested_pixels_are_read() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 4, 3]}
    body = orjson.dumps({"inputs": [tensor | {"data": pixels.tolist()}]})
    (found,) = pictures_of(parse_infer(body, None), 8)
    assert np.asarray(found).tolist() == pixels[0].tolist()


@pytest.mark.parametrize(
    "data",
    [
        [1] * 11,
        [1] * 13,
        [256] * 12,
        [-1] * 12,
        [0.5] * 12,
        ["1"] * 12,
        [[1], [2, 3]],
        [2**70] * 12,
        [None] * 12,
        [{}] * 12,
        [True] * 12,
        [],
    ],
)
def test_pixels_that_are_none_are_refused(data: list[Any]) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": data}
    with pytest.raises(InvalidRequest):
        pictures_of(parse_infer(json.dumps({"inputs": [tensor]}).encode(), None), 8)


@pytest.mark.parametrize("shape", [[1, 2, 2], [2, 2, 3], [1, 2, 2, 4], [0, 2, 2, 3], [1, 0, 2, 3]])
def test_pixels_of_another_shape_are_refused(shape: list[int]) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape}
    head = orjson.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 12}}]})
    with pytest.raises(InvalidRequest, match=r"is not \[N,H,W,3\]"):
        pictures_of(parse_infer(head + bytes(12), str(len(head))), 8)


@pytest.mark.parametrize("datatype", ["BYTES", "UINT8"])
def test_more_images_than_the_limit_are_refused_by_their_shape(datatype: str) -> None:
    shape = [9] if datatype == "BYTES" else [9, 1, 1, 3]
    tensor = {"name": "image", "datatype": datatype, "shape": shape, "data": []}
    with pytest.raises(PayloadTooLarge, match="9 images in one request; the limit is 8"):
        pictures_of(parse_infer(orjson.dumps({"inputs": [tensor]}), None), 8)


def test_json_has_a_limit_of_its_own() -> None:
    padded = b" " * MAX_JSON + b"{}"
    with pytest.raises(PayloadTooLarge, match="JSON of more than"):
        parse_infer(padded, None)
    with pytest.raises(PayloadTooLarge, match="JSON of more than"):
        parse_infer(padded, str(len(padded)))


def test_a_body_alone_is_one_image() -> None:
    request = parse_infer(b"an image", "0")
    assert pictures_of(request, 1) == [b"an image"]
    assert request.binary


def test_outputs_say_for_themselves_whether_they_are_binary() -> None:
    outputs = [InferRequestedOutput("a", binary_data=True), InferRequestedOutput("b", False)]
    request = stock(objects([b"x"]), "BYTES", outputs=outputs, parameters={"accuracy": 0.9})
    assert request.outputs == (WantedOutput("a", True), WantedOutput("b", False))
    assert request.parameters == {"accuracy": 0.9}


SCORES = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
REPLY = InferReply(
    "tiny",
    "1",
    (
        OutputTensor("scores", "FP32", SCORES),
        OutputTensor("label", "BYTES", objects(["grün".encode(), b""])),
        OutputTensor("certified", "BOOL", np.array([True, False])),
    ),
    id="x",
    parameters={"threshold": 0.5},
)


def read(request: InferRequest) -> InferResult:
    """What tritonclient reads of our reply."""
    body, length = write_reply(REPLY, request)
    return InferResult.from_response_body(body, header_length=length)


@pytest.mark.parametrize("binary", [True, False])
def test_the_stock_client_reads_what_we_write(binary: bool) -> None:
    found = read(InferRequest((), binary=binary))
    assert found.as_numpy("scores").tolist() == SCORES.tolist()
    assert found.as_numpy("certified").tolist() == [True, False]
    texts = [one if isinstance(one, bytes) else one.encode() for one in found.as_numpy("label")]
    assert texts == ["grün".encode(), b""]
    assert found.get_response()["id"] == "x"
    assert found.get_response()["parameters"] == {"threshold": 0.5}


def test_binary_and_json_outputs_mix_in_the_order_asked_for() -> None:
    wanted = (WantedOutput("certified", True), WantedOutput("label"), WantedOutput("scores", True))
    found = read(InferRequest((), outputs=wanted))
    listed = [one["name"] for one in found.get_response()["outputs"]]
    assert listed == ["certified", "label", "scores"]
    assert found.as_numpy("scores").tolist() == SCORES.tolist()
    assert found.as_numpy("certified").tolist() == [True, False]


def test_an_output_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no output named 'boxes'"):
        read(InferRequest((), outputs=(WantedOutput("boxes"),)))


_KEYS = ["inputs", "outputs", "parameters", "id", "name", "datatype", "shape", "data"]
_KEYS += ["binary_data_size", "binary_data_output", "binary_data", "classification"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["image", "BYTES", "UINT8", "FP32"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.binary(max_size=30), st.integers(-2, 3))
def test_no_request_is_more_than_refused(head: Any, raw: bytes, off: int) -> None:
    text = orjson.dumps(head)
    with contextlib.suppress(InvalidRequest):
        pictures_of(parse_infer(text + raw, str(len(text) + off)), 8)


@given(st.binary(max_size=60), st.none() | st.text(max_size=6))
def test_no_bytes_are_more_than_refused(body: bytes, length: str | None) -> None:
    with contextlib.suppress(InvalidRequest):
        pictures_of(parse_infer(body, length), 8)


tensors = st.builds(
    lambda shape, datatype, size, raw: (
        {
            "name": "image",
            "shape": shape,
            "datatype": datatype,
            "parameters": {"binary_data_size": size},
        },
        raw,
    ),
    st.lists(st.integers(0, 4) | st.just(3), max_size=5),
    st.sampled_from(["BYTES", "UINT8"]),
    st.integers(0, 60),
    IMAGES.map(pack_bytes) | st.binary(max_size=60),
)


@given(tensors)
def test_sizes_shapes_and_data_agree_or_are_refused(given: tuple[dict[str, Any], bytes]) -> None:
    tensor, raw = given
    head = orjson.dumps({"inputs": [tensor]})
    try:
        found = pictures_of(parse_infer(head + raw, str(len(head))), 8)
    except InvalidRequest:
        return
    assert tensor["parameters"]["binary_data_size"] == len(raw)
    assert len(found) == tensor["shape"][0]
    if tensor["datatype"] == "BYTES":
        assert pack_bytes([bytes(one) for one in found]) == raw


def test_every_call_of_the_list_is_read_or_refused() -> None:
    for call in calls(b"image"):
        if call.path.endswith("/infer"):
            with contextlib.suppress(InvalidRequest):
                pictures_of(parse_infer(call.body, call.headers.get(LENGTH)), 8)
