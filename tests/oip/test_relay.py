"""Requests and replies of any model cross between REST and gRPC, and nothing is lost on the way."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.messages import InferReply, InferRequest, OutputTensor
from hawkvision.oip.plain import plain
from hawkvision.oip.protobuf import parse_request, write_reply
from hawkvision.oip.relay import message_of, reply_of
from hawkvision.oip.rest import MOST_LISTED, parse_infer
from hawkvision.oip.rest import write_reply as write_rest


def asked(**fields: object) -> InferRequest:
    return parse_infer(json.dumps(fields).encode(), None)


def test_a_request_keeps_its_tensors_parameters_outputs_and_id() -> None:
    found = message_of(
        "m",
        "2",
        asked(
            id="a",
            inputs=[
                {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1.0, 2.0]]},
                {"name": "y", "datatype": "BYTES", "shape": [1], "data": ["t"]},
            ],
            outputs=[{"name": "z"}],
            parameters={"b": True, "i": -3, "u": 2**64 - 1, "f": 0.5, "s": "x"},
        ),
    )
    assert (found.model_name, found.model_version, found.id) == ("m", "2", "a")
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [
        ("x", "FP32", [1, 2]),
        ("y", "BYTES", [1]),
    ]
    assert list(found.raw_input_contents) == [
        np.array([1, 2], "<f4").tobytes(),
        b"\1\0\0\0t",
    ]
    assert [one.name for one in found.outputs] == ["z"]
    again = parse_request(found)
    assert again.parameters == {"b": True, "i": -3, "u": 2**64 - 1, "f": 0.5, "s": "x"}


def replies() -> InferReply:
    texts = np.array([b"a", b"\xff"], np.object_)
    return InferReply(
        "m",
        "1",
        (
            OutputTensor("n", "INT64", np.array([[1], [-2]], np.int64)),
            OutputTensor("t", "BYTES", texts),
        ),
        "id",
        {"done": True},
    )


def test_a_reply_comes_back_as_it_was_raw_or_typed() -> None:
    raw = write_reply(replies())
    typed = messages.ModelInferResponse.FromString(raw.SerializeToString())
    del typed.raw_output_contents[:]
    typed.outputs[0].contents.int64_contents.extend([1, -2])
    typed.outputs[1].contents.bytes_contents.extend([b"a", b"\xff"])
    for one in (raw, typed):
        found = reply_of(one)
        assert (found.model, found.version, found.id) == ("m", "1", "id")
        assert found.parameters == {"done": True}
        values = [tensor.values.tolist() for tensor in found.outputs]
        assert values == [[[1], [-2]], [b"a", b"\xff"]]


def test_a_reply_that_is_none_is_an_error_of_one_kind() -> None:
    raw = write_reply(replies())
    raw.outputs[0].shape[:] = [7]
    with pytest.raises(ValueError):
        reply_of(raw)


def test_bytes_that_are_no_text_are_asked_for_as_binary_data() -> None:
    with pytest.raises(InvalidRequest, match="output 't' is no text"):
        write_rest(replies(), InferRequest(()))
    body, length = write_rest(replies(), InferRequest((), binary=True))
    assert length is not None and body.endswith(b"\1\0\0\0a\1\0\0\0\xff")


def test_a_tensor_too_large_for_json_is_asked_for_as_binary_data() -> None:
    values = np.zeros(MOST_LISTED + 1, np.int8)
    reply = InferReply("m", "1", (OutputTensor("x", "INT8", values),))
    with pytest.raises(InvalidRequest, match="more than 1048576 values"):
        write_rest(reply, InferRequest(()))
    body, length = write_rest(reply, InferRequest((), binary=True))
    assert length is not None and len(body) - length == MOST_LISTED + 1


def test_bfloats_cross_as_bytes_alone() -> None:
    values = np.array([0x3F80], np.uint16)
    reply = InferReply("m", "1", (OutputTensor("b", "BF16", values),))
    again = reply_of(write_reply(reply))
    assert again.outputs[0].values.tobytes() == b"\x80\x3f"
    with pytest.raises(InvalidRequest, match="BF16"):
        write_rest(again, InferRequest(()))


def test_messages_are_plain_with_their_zeros_and_without_what_is_not_set() -> None:
    row = messages.ModelStatistics(name="m", inference_count=2**40)
    row.inference_stats.success.count = 1
    found = plain(messages.ModelStatisticsResponse(model_stats=[row]))
    (told,) = found["model_stats"]
    assert told["inference_count"] == 2**40 and told["last_inference"] == 0
    assert told["inference_stats"] == {"success": {"count": 1, "ns": 0}}
    assert told["batch_stats"] == []


def test_enums_are_names_and_maps_are_objects() -> None:
    config = messages.ModelConfig()
    config.input.add(name="x", data_type=messages.TYPE_FP32, dims=[-1])
    config.parameters["k"].string_value = "v"
    found = plain(config)
    assert found["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}]
    assert found["parameters"] == {"k": {"string_value": "v"}}
    assert "version_policy" not in found
