"""Requests and replies of any model between plain messages and protobuf: nothing is left out."""

from __future__ import annotations

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.messages import InferReply, InferRequest, OutputTensor
from hawkvision.oip.protobuf import parse_parameters, say_parameters
from hawkvision.oip.tensors import pack_input, unpack

_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def message_of(model: str, version: str, asked: InferRequest) -> messages.ModelInferRequest:
    """A request's message, its tensors raw. Raises InvalidRequest for data that are no tensor."""
    request = messages.ModelInferRequest(model_name=model, model_version=version, id=asked.id)
    say_parameters(request.parameters, asked.parameters)
    for one in asked.inputs:
        request.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        request.raw_input_contents.append(pack_input(one))
    for wanted in asked.outputs:
        request.outputs.add(name=wanted.name)
    return request


def reply_of(reply: messages.ModelInferResponse) -> InferReply:
    """What a server answered. Raises ValueError for what cannot be read."""
    try:
        return _read(reply)
    except InvalidRequest as error:  # nobody asked for that
        raise ValueError(error.message) from error


def _read(reply: messages.ModelInferResponse) -> InferReply:
    outputs = []
    for index, one in enumerate(reply.outputs):
        raws = reply.raw_output_contents
        raw = raws[index] if index < len(raws) else None
        field = _CONTENTS.get(one.datatype)
        typed = getattr(one.contents, field) if raw is None and field is not None else ()
        values = unpack(one.datatype, tuple(one.shape), raw, typed)
        outputs.append(OutputTensor(one.name, one.datatype, values))
    return InferReply(
        reply.model_name,
        reply.model_version,
        tuple(outputs),
        reply.id,
        parse_parameters(reply.parameters),
    )
