"""The protocol's plain messages over gRPC: read from protobuf and written as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.messages import (
    InferReply,
    InferRequest,
    InputTensor,
    Scalar,
    WantedOutput,
)
from hawkvision.oip.rungs import BEGAN
from hawkvision.oip.tensors import pack

_CONTENTS = {"BYTES": "bytes_contents", "UINT8": "uint_contents"}
_SHARED = "shared_memory_region"
_REFUSED = (_SHARED, "classification")
_UNSIGNED = frozenset({BEGAN})
"""Parameters that are read as such, whatever their number."""
_MOST_SIGNED = 2**63 - 1


def parse_request(request: messages.ModelInferRequest) -> InferRequest:
    """A request of any model, its contents raw or typed. Raises InvalidRequest."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            f"{len(request.inputs)} inputs and {len(raw)} raw_input_contents",
            hint="Send one element of raw_input_contents for each input, or typed contents only.",
        )
    return InferRequest(
        tuple(_input(one, raw[index] if raw else None) for index, one in enumerate(request.inputs)),
        parse_outputs(request),
        request.id,
        parse_parameters(request.parameters),
        binary=True,
    )


def _input(one: messages.ModelInferRequest.InferInputTensor, raw: bytes | None) -> InputTensor:
    if _SHARED in one.parameters:
        raise InvalidRequest("shared memory is not read", hint="Send the data in the request.")
    shape = tuple(one.shape[:9])
    if raw is not None:
        if one.HasField("contents"):
            raise InvalidRequest(
                f"input {one.name[:80]!r} has contents, and raw_input_contents beside them",
                hint="Send one of the two.",
            )
        return InputTensor(one.name, one.datatype, shape, raw=memoryview(raw))
    field = _CONTENTS.get(one.datatype)
    data = getattr(one.contents, field) if field is not None else ()
    return InputTensor(one.name, one.datatype, shape, data=data)


def parse_outputs(request: messages.ModelInferRequest) -> tuple[WantedOutput, ...]:
    """The outputs that are asked for, each once; none means all. Raises InvalidRequest."""
    wanted: dict[str, WantedOutput] = {}
    for one in request.outputs:
        for refused in _REFUSED:
            if refused in one.parameters:
                raise InvalidRequest(
                    f"output {one.name[:80]!r} asks for {refused}, which there is not",
                    hint="Ask for the tensor itself.",
                )
        wanted.setdefault(one.name, WantedOutput(one.name, binary=True))
    return tuple(wanted.values())


def parse_parameters(found: Mapping[str, messages.InferParameter]) -> dict[str, Scalar]:
    """By name. Raises InvalidRequest for one without a value."""
    parameters: dict[str, Scalar] = {}
    for name, one in found.items():
        which = one.WhichOneof("parameter_choice")
        if which is None:
            raise InvalidRequest(f"parameter {name[:40]!r} has no value")
        parameters[name] = getattr(one, which)
    return parameters


def say_parameters(into: Any, parameters: Mapping[str, Scalar]) -> None:
    """Write parameters into a message's map."""
    for name, value in parameters.items():
        if isinstance(value, bool):
            into[name].bool_param = value
        elif isinstance(value, int):
            unsigned = name in _UNSIGNED or value > _MOST_SIGNED
            setattr(into[name], "uint64_param" if unsigned else "int64_param", value)
        elif isinstance(value, float):
            into[name].double_param = value
        else:
            into[name].string_param = value


def write_reply(
    reply: InferReply, wanted: Sequence[WantedOutput] = ()
) -> messages.ModelInferResponse:
    """A reply's message, its tensors raw, as `wanted` orders them; all where none is named.

    Raises InvalidRequest for one that the reply has not.
    """
    known = {one.name: one for one in reply.outputs}
    said = messages.ModelInferResponse(
        model_name=reply.model, model_version=reply.version, id=reply.id
    )
    for name in [one.name for one in wanted] or list(known):
        if name not in known:
            raise unknown_output(name, list(known))
        tensor = known[name]
        said.outputs.add(name=name, datatype=tensor.datatype, shape=tensor.values.shape)
        said.raw_output_contents.append(pack(tensor))
    say_parameters(said.parameters, reply.parameters)
    return said


def unknown_output(name: str, known: list[str]) -> InvalidRequest:
    """For an output that there is not."""
    return InvalidRequest(f"no output named {name[:80]!r}", hint=f"There is {', '.join(known)}.")
