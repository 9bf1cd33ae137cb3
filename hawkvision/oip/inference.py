"""ModelInfer messages: the images of a request and the tensors of a reply, made and read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes, pack_fp32, unpack_fp32
from hawkvision.oip.messages import INPUT as INPUT
from hawkvision.oip.pictures import Pixels, pictures_of
from hawkvision.oip.protobuf import parse_request, unknown_output
from hawkvision.tasks import Outputs

AGREES = "hawkvision_numerics_agree"
"""Reply parameter, only sent where it is false."""
FLAVOUR = "hawkvision_flavour"
"""Reply parameter: which files of the task answered; only sent where it is not the plain ones."""
_LONGEST_FLAVOUR = 40
PRIORITY = "priority"
"""Request parameter, Triton's reserved one: 1 is the highest, 0 stands for the default."""


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
) -> list[bytes] | list[Pixels]:
    """The images of a request, encoded ones not decoded yet, or uint8 RGB [H,W,3] each.

    `outputs` are those that there are. Raises InvalidRequest.
    """
    asked = parse_request(request)
    for output in asked.outputs:
        if output.name not in outputs:
            raise unknown_output(output.name, list(outputs))
    return pictures_of(asked, max_images)


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


def build_reply(
    request: messages.ModelInferRequest,
    version: str,
    outputs: Outputs,
    *,
    agrees: bool = True,
    flavour: str = "",
) -> messages.ModelInferResponse:
    """The response that carries those of `outputs` [N,…] that `request` names, or all of them.

    `agrees` false says, in a parameter, that the engine is not the one that was certified;
    `flavour` which of the task's files it runs.
    """
    reply = messages.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    for name in dict.fromkeys(one.name for one in request.outputs) or outputs:
        tensor = outputs[name]
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
