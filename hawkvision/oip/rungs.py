"""From which rung a call comes, and which rungs answered it: parameters of ModelInfer.

Rungs are named by their places in the task, 0 being the first one, which agents hold. A server that
knows nothing of this answers with its whole chain, and so does ours where nothing is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.messages import Scalar

FROM_RUNG = "from_rung"
"""Request parameter: the place of the first rung that is asked; those before it had their say."""
RUNGS = "hawkvision_rungs"
"""Reply parameter: the place of the rung that answered each image, joined by commas."""
BEGAN = "hawkvision_from_rung"
"""Reply parameter, only sent where it is not what was asked: the first rung that the server has."""

_LONGEST = 9


def ask_from(request: messages.ModelInferRequest, rung: int) -> None:
    """Ask the rungs from this place on; the first one above the agent's is not sent."""
    if rung > 1:
        request.parameters[FROM_RUNG].uint64_param = rung


def parse_from_rung(parameters: Mapping[str, Scalar], last: int) -> int:
    """The place of the first rung that is asked, 1 … `last`; 1 where none is named.

    Raises InvalidRequest for anything else.
    """
    rung = parameters.get(FROM_RUNG, 1)
    if type(rung) is not int or not 1 <= rung <= last:
        raise InvalidRequest(
            f"parameter {FROM_RUNG!r} is no whole number from 1 to {last}",
            hint="Send it as uint64_param: the place of the first rung that is to answer.",
        )
    return rung


def rungs_said(rungs: Sequence[int], began: int | None) -> dict[str, Scalar]:
    """Parameters: which rung answered each image and, if it is not what was asked, which began."""
    said: dict[str, Scalar] = {RUNGS: ",".join(map(str, rungs))}
    return said if began is None else said | {BEGAN: began}


@dataclass(frozen=True, slots=True)
class Said:
    """The place of the rung that answered the one image of a call, and of the one that began."""

    rung: int
    began: int


def read_rungs(reply: messages.ModelInferResponse, asked: int, last: int) -> Said:
    """What a reply to one image says; a server that says nothing is taken for the whole chain.

    Raises ValueError for places that cannot be.
    """
    began, rung = asked, last
    if BEGAN in reply.parameters:
        began = int(reply.parameters[BEGAN].uint64_param)
    if RUNGS in reply.parameters:
        text = reply.parameters[RUNGS].string_param
        if len(text) > _LONGEST or not (text.isascii() and text.isdecimal()):
            raise ValueError(f"{RUNGS} is no place of a rung")
        rung = int(text)
    if not asked <= began <= rung <= last:
        raise ValueError(f"{RUNGS} {rung} and {BEGAN} {began} are not from {asked} to {last}")
    return Said(rung, began)
