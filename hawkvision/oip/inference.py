"""ModelInfer messages: the images of a request, checked, and the reply's tensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest, PayloadTooLarge
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_fp32, unpack_bytes

INPUT = "image"
OUTPUT = "probabilities"
_CONTRACT = f"Send one input {INPUT!r}, datatype BYTES, shape [N] or [N,1]."


def parse_images(request: messages.ModelInferRequest, max_images: int) -> list[bytes]:
    """The encoded images of a request, not decoded yet. Raises InvalidRequest."""
    if len(request.inputs) != 1:
        raise InvalidRequest(f"{len(request.inputs)} inputs; exactly one is taken", hint=_CONTRACT)
    tensor = request.inputs[0]
    if tensor.name != INPUT:
        raise InvalidRequest(f"no input named {tensor.name[:80]!r}", hint=_CONTRACT)
    if tensor.datatype != "BYTES":
        raise InvalidRequest(f"datatype {tensor.datatype[:20]!r} is not BYTES", hint=_CONTRACT)
    for output in request.outputs:
        if output.name != OUTPUT:
            raise InvalidRequest(
                f"no output named {output.name[:80]!r}", hint=f"The one output is {OUTPUT!r}."
            )
    count = _count(list(tensor.shape), max_images)
    images = _elements(request, count)
    if len(images) != count:
        raise InvalidRequest(f"shape says {count} images, {len(images)} were sent", hint=_CONTRACT)
    return images


def _count(shape: list[int], max_images: int) -> int:
    if len(shape) not in (1, 2) or shape[0] < 1 or shape[1:] not in ([], [1]):
        raise InvalidRequest(f"shape {shape[:8]} is not [N] or [N,1]", hint=_CONTRACT)
    if shape[0] > max_images:
        raise PayloadTooLarge(
            f"{shape[0]} images in one request; the limit is {max_images}",
            hint="Split the batch.",
        )
    return shape[0]


def _elements(request: messages.ModelInferRequest, count: int) -> list[bytes]:
    contents = request.inputs[0].contents.bytes_contents
    if not request.raw_input_contents:
        if len(contents) > count:
            raise InvalidRequest(
                f"shape says {count} images, {len(contents)} were sent", hint=_CONTRACT
            )
        return list(contents)
    if len(request.raw_input_contents) != 1 or contents:
        raise InvalidRequest(
            "one input needs one element of raw_input_contents and no contents", hint=_CONTRACT
        )
    return unpack_bytes(request.raw_input_contents[0], at_most=count)


def build_reply(
    request: messages.ModelInferRequest, version: str, probabilities: npt.NDArray[np.float32]
) -> messages.ModelInferResponse:
    """The response that carries `probabilities` float32 [N,K]."""
    reply = messages.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    reply.outputs.add(name=OUTPUT, datatype="FP32", shape=probabilities.shape)
    reply.raw_output_contents.append(pack_fp32(probabilities))
    return reply
