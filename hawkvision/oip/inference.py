"""ModelInfer messages: the images of a request and the tensors of a reply, made and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes, unpack_fp32
from hawkvision.oip.messages import INPUT as INPUT
from hawkvision.oip.messages import InferReply, OutputTensor, Scalar
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


def parse_priority(parameters: Mapping[str, Scalar]) -> int:
    """The `priority` of a request, at least 0, which is also that of one that names none.

    Raises InvalidRequest for what is no such number.
    """
    level = parameters.get(PRIORITY, 0)
    if type(level) is not int or level < 0:
        raise InvalidRequest(
            "parameter 'priority' is no whole number from 0 up",
            hint="Send it as uint64_param: 1 for users, 2 for audits, 3 for probes.",
        )
    return level


def build_reply(
    model: str,
    version: str,
    request_id: str,
    outputs: Outputs,
    *,
    agrees: bool = True,
    flavour: str = "",
) -> InferReply:
    """The reply that carries `outputs` [N,…].

    `agrees` false says, in a parameter, that the engine is not the one that was certified;
    `flavour` which of the task's files it runs.
    """
    said: dict[str, Scalar] = {} if agrees else {AGREES: False}
    if flavour:
        said[FLAVOUR] = flavour
    tensors = tuple(OutputTensor(name, "FP32", one) for name, one in outputs.items())
    return InferReply(model, version, tensors, request_id, said)


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
