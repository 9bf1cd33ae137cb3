"""ModelInfer messages: the images of a request and the tensors of a reply, made and read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes, pack_fp32, unpack_bytes, unpack_fp32
from hawkvision.oip.messages import INPUT as INPUT
from hawkvision.oip.pictures import image_count
from hawkvision.tasks import Outputs

AGREES = "hawkvision_numerics_agree"
"""Reply parameter, only sent where it is false."""
FLAVOUR = "hawkvision_flavour"
"""Reply parameter: which files of the task answered; only sent where it is not the plain ones."""
_LONGEST_FLAVOUR = 40
PRIORITY = "priority"
"""Request parameter, Triton's reserved one: 1 is the highest, 0 stands for the default."""

_CONTRACT = f"Send one input {INPUT!r}, datatype BYTES, shape [N] or [N,1]."


def build_request(
    model: str, version: str, request_id: str, image: bytes, priority: int = 0
) -> messages.ModelInferRequest:
    """A request for one encoded image; a `priority` of 0 is not sent."""
    request = messages.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    if priority:
        request.parameters[PRIORITY].uint64_param = priority
    request.inputs.add(name=INPUT, datatype="BYTES", shape=[1])
    request.raw_input_contents.append(pack_bytes([image]))
    return request


def parse_images(
    request: messages.ModelInferRequest, max_images: int, outputs: Collection[str]
) -> list[bytes]:
    """The encoded images of a request, not decoded yet; `outputs` are those that there are.

    Raises InvalidRequest.
    """
    if len(request.inputs) != 1:
        raise InvalidRequest(f"{len(request.inputs)} inputs; exactly one is taken", hint=_CONTRACT)
    tensor = request.inputs[0]
    if tensor.name != INPUT:
        raise InvalidRequest(f"no input named {tensor.name[:80]!r}", hint=_CONTRACT)
    if tensor.datatype != "BYTES":
        raise InvalidRequest(f"datatype {tensor.datatype[:20]!r} is not BYTES", hint=_CONTRACT)
    for output in request.outputs:
        if output.name not in outputs:
            raise InvalidRequest(
                f"no output named {output.name[:80]!r}", hint=f"There is {', '.join(outputs)}."
            )
    count = image_count(list(tensor.shape), max_images)
    images = _elements(request, count)
    if len(images) != count:
        raise InvalidRequest(f"shape says {count} images, {len(images)} were sent", hint=_CONTRACT)
    return images


def parse_priority(request: messages.ModelInferRequest) -> int:
    """The `priority` of a request, at least 0, which is also that of one that names none.

    Raises InvalidRequest for what is no such number.
    """
    if PRIORITY not in request.parameters:
        return 0
    found = request.parameters[PRIORITY]
    which = found.WhichOneof("parameter_choice")
    level = int(getattr(found, which)) if which in ("int64_param", "uint64_param") else -1
    if level < 0:
        raise InvalidRequest(
            "parameter 'priority' is no whole number from 0 up",
            hint="Send it as uint64_param: 1 for users, 2 for audits, 3 for probes.",
        )
    return level


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
    request: messages.ModelInferRequest,
    version: str,
    outputs: Outputs,
    *,
    agrees: bool = True,
    flavour: str = "",
) -> messages.ModelInferResponse:
    """The response that carries `outputs` [N,…] by name.

    `agrees` false says, in a parameter, that the engine is not the one that was certified;
    `flavour` which of the task's files it runs.
    """
    reply = messages.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    for name, tensor in outputs.items():
        reply.outputs.add(name=name, datatype="FP32", shape=tensor.shape)
        reply.raw_output_contents.append(pack_fp32(tensor))
    if not agrees:
        reply.parameters[AGREES].bool_param = False
    if flavour:
        reply.parameters[FLAVOUR].string_param = flavour
    return reply


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: float32 tensors by name, and whether it stands by its certificate.

    `flavour` names the files of the task that it runs, empty for the plain ones.
    """

    outputs: Outputs
    agrees: bool
    flavour: str = ""


def parse_reply(reply: messages.ModelInferResponse) -> Reply:
    """The FP32 outputs of a response of any server. Raises ValueError for a malformed one."""
    outputs = {}
    for index, output in enumerate(reply.outputs):
        if output.datatype != "FP32":
            continue
        shape = [int(side) for side in output.shape]
        try:
            if index < len(reply.raw_output_contents):
                rows = unpack_fp32(reply.raw_output_contents[index], shape)
            else:
                rows = np.asarray(output.contents.fp32_contents, np.float32).reshape(shape)
        except InvalidRequest as error:
            raise ValueError(str(error)) from error
        outputs[output.name] = rows
    agrees = AGREES not in reply.parameters or reply.parameters[AGREES].bool_param
    flavour = reply.parameters[FLAVOUR].string_param if FLAVOUR in reply.parameters else ""
    return Reply(outputs, agrees, flavour[:_LONGEST_FLAVOUR])
