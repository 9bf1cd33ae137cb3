"""Inference over REST: JSON, and behind it the bytes of tensors (binary tensor data extension).

Source: Open Inference Protocol v2; Triton's `extension_binary_data` and `extension_parameters`.
"""

from __future__ import annotations

from typing import Any

import orjson

from hawkvision.errors import InvalidRequest, PayloadTooLarge
from hawkvision.oip.messages import (
    INPUT,
    InferReply,
    InferRequest,
    InputTensor,
    OutputTensor,
    Scalar,
    WantedOutput,
)
from hawkvision.oip.tensors import BF16, pack

LENGTH = "Inference-Header-Content-Length"
"""The HTTP header that says how many bytes of a body are JSON."""

MAX_JSON = 1024 * 1024
"""Bytes; parsed, JSON takes some twenty times its size."""

MOST_LISTED = 1024 * 1024
"""Values of a reply's tensor as JSON; each takes some fifty bytes on its way."""

_MAX_ID = 1024
_BINARY = "binary_data_size"
_SHARED = "shared_memory_region"


def parse_infer(body: bytes, length: str | None) -> InferRequest:
    """A request's body; `length` is the header's text.

    Without the header all of it is JSON; where it says 0, all of it is one encoded image, and the
    reply is binary.

    Raises InvalidRequest, or PayloadTooLarge for JSON of more than `MAX_JSON` bytes.
    """
    head = _head_size(length, len(body))
    if length is not None and head == 0:
        if not body:
            raise InvalidRequest("the body is empty", hint="Send the image's bytes.")
        return InferRequest((InputTensor(INPUT, "BYTES", (1,), data=[body]),), binary=True)
    if head > MAX_JSON:
        raise PayloadTooLarge(
            f"JSON of more than {MAX_JSON} bytes", hint=f"Send tensors behind it, and {LENGTH}."
        )
    view = memoryview(body)
    found = _object(_parsed(view[:head]), "the request")
    inputs, end = [], head
    for one in _list(found.get("inputs"), "inputs"):
        tensor, end = _input(_object(one, "an input"), view, end)
        inputs.append(tensor)
    if end != len(body):
        raise InvalidRequest(f"{len(body) - end} bytes more than the inputs say")
    parameters = _parameters(found.get("parameters"))
    return InferRequest(
        inputs=tuple(inputs),
        outputs=_outputs(found.get("outputs")),
        id=_id(found.get("id", "")),
        parameters={name: one for name, one in parameters.items() if name != "binary_data_output"},
        binary=_flag(parameters, "binary_data_output"),
    )


def _head_size(length: str | None, size: int) -> int:
    if length is None:
        return size
    text = length.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= size):
        raise InvalidRequest(
            f"{LENGTH} {text[:20]!r} is no number from 0 to {size}",
            hint="It says how many bytes of the body are JSON.",
        )
    return int(text)


def _parsed(text: memoryview) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            "the request is not JSON",
            hint=f"Where binary data follows, {LENGTH} says where JSON ends.",
        ) from error


def _input(found: dict[str, Any], view: memoryview, start: int) -> tuple[InputTensor, int]:
    """A tensor, and where the binary data of the next one begins."""
    name, datatype = _text(found, "name"), _text(found, "datatype")
    shape = _shape(found.get("shape"))
    parameters = _parameters(found.get("parameters"))
    if _SHARED in parameters:
        raise InvalidRequest("shared memory is not read", hint="Send the data in the request.")
    if ("data" in found) == (_BINARY in parameters):
        raise InvalidRequest(
            f"input {name[:80]!r} needs data or {_BINARY}, and not both of them",
            hint="See the binary tensor data extension.",
        )
    if "data" in found:
        data = _list(found["data"], "data")
        return InputTensor(name, datatype, shape, data=data), start
    size, left = parameters[_BINARY], len(view) - start
    if type(size) is not int or not 0 <= size <= left:
        raise InvalidRequest(
            f"input {name[:80]!r} claims {str(size)[:20]} bytes, {left} are left",
            hint=f"{_BINARY} is a number of bytes, which follow the JSON.",
        )
    return InputTensor(name, datatype, shape, raw=view[start : start + size]), start + size


def _outputs(listed: Any) -> tuple[WantedOutput, ...]:
    wanted: dict[str, WantedOutput] = {}
    for one in _list([] if listed is None else listed, "outputs"):
        found = _object(one, "an output")
        name, parameters = _text(found, "name"), _parameters(found.get("parameters"))
        for refused in (_SHARED, "classification"):
            if refused in parameters:
                raise InvalidRequest(
                    f"output {name[:80]!r} asks for {refused}, which there is not",
                    hint="Ask for the tensor itself.",
                )
        wanted.setdefault(name, WantedOutput(name, _flag(parameters, "binary_data")))
    return tuple(wanted.values())


def _shape(found: Any) -> tuple[int, ...]:
    sides = _list(found, "shape")
    if len(sides) > 8 or not all(type(side) is int and 0 <= side < 2**31 for side in sides):
        raise InvalidRequest(f"shape {str(sides)[:80]} is no list of sides")
    return tuple(sides)


def _parameters(found: Any) -> dict[str, Scalar]:
    if found is None:
        return {}
    parameters = _object(found, "parameters")
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"parameter {name[:40]!r} is no text, number or boolean")
    return parameters


def _flag(parameters: dict[str, Scalar], name: str) -> bool:
    found = parameters.get(name, False)
    if isinstance(found, bool):
        return found
    raise InvalidRequest(f"{name} is true or false, not {str(found)[:20]!r}")


def _id(found: Any) -> str:
    if not isinstance(found, str) or len(found) > _MAX_ID:
        raise InvalidRequest(f"id is no text of at most {_MAX_ID} characters")
    return found


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise InvalidRequest(f"{key} is missing, or no text")
    return value


def _list(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list):
        raise InvalidRequest(f"{what} is missing, or no list")
    return found


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InvalidRequest(f"{what} is no JSON object")
    return found


def write_reply(reply: InferReply, request: InferRequest) -> tuple[bytes, int | None]:
    """A reply's body and the value of `LENGTH`, None where all of it is JSON.

    Tensors come in the order in which they were asked for. Raises InvalidRequest for one that the
    reply has not.
    """
    known = {one.name: one for one in reply.outputs}
    wanted = request.outputs or tuple(WantedOutput(name, request.binary) for name in known)
    check_outputs(request, known)
    outputs, parts = [], []
    for one in wanted:
        tensor = known[one.name]
        said: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        if one.binary:
            raw = pack(tensor)
            parts.append(raw)
            said["parameters"] = {_BINARY: len(raw)}
        else:
            said["data"] = _listed(tensor)
        outputs.append(said)
    head: dict[str, Any] = {"model_name": reply.model, "model_version": reply.version}
    if reply.id:
        head["id"] = reply.id
    if reply.parameters:
        head["parameters"] = dict(reply.parameters)
    text = orjson.dumps({**head, "outputs": outputs})
    return (b"".join([text, *parts]), len(text)) if parts else (text, None)


def check_outputs(request: InferRequest, known: Any) -> None:
    """Raise InvalidRequest for an output that is not among those `known` by name."""
    for one in request.outputs:
        if one.name not in known:
            raise InvalidRequest(
                f"no output named {one.name[:80]!r}", hint=f"There is {', '.join(known)}."
            )


def _listed(tensor: OutputTensor) -> list[Any]:
    if tensor.values.size > MOST_LISTED:
        raise _not_json(tensor.name, f"more than {MOST_LISTED} values")
    flat = tensor.values.reshape(-1)
    if tensor.datatype == "BYTES":
        try:
            return [one.decode() for one in flat]
        except UnicodeDecodeError as error:
            raise _not_json(tensor.name, "no text") from error
    if tensor.datatype == BF16:
        raise _not_json(tensor.name, BF16)
    found: list[Any] = flat.tolist()
    return found


def _not_json(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"output {name[:80]!r} is {what}, which JSON does not carry",
        hint="Ask for it as binary data (binary_data).",
    )
