"""What the routes of the Open Inference Protocol take and answer, for the agent's description.

The shapes are those of what is really written, and of what is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import orjson

from edge_agent.http.shapes import BYTES, JSON, OCTETS, TEXT, Shape, query_of, says
from edge_agent.parameters import ClassifyParameters
from hawkvision.contract.repository import ChangeAsked, IndexAsked
from hawkvision.contract.schema import Like, Part
from hawkvision.oip.description import ModelDescription
from hawkvision.oip.messages import InferReply, InferRequest, OutputTensor
from hawkvision.oip.rest import write_reply
from hawkvision.oip.statistics import ModelStatistics
from hawkvision.serving.control import VersionStatus
from hawkvision.serving.http.routes import Route
from hawkvision.tasks import TensorSpec

_TENSORS = (TensorSpec("label", "BYTES", ()), TensorSpec("probabilities", "FP32", (4,)))
_SAMPLE = ModelDescription("task", "1", "hawkvision_cascade", _TENSORS)
_MODEL = Like("ModelMetadata", (_SAMPLE.metadata(),))
_CONFIG = Like("ModelConfig", (_SAMPLE.configuration(),))
_STATS = Like("ModelStatistics", ({"model_stats": [ModelStatistics().as_dict("task", "1")]},))
_OUTPUTS = (
    OutputTensor("label", "BYTES", np.array([b"red"], np.object_)),
    OutputTensor("certified", "BOOL", np.array([True])),
    OutputTensor("confidence", "FP32", np.array([0.5], np.float32)),
)
_REPLY = Like(
    "InferReply",
    tuple(
        orjson.loads(write_reply(InferReply("task", "1", _OUTPUTS, name), InferRequest(()))[0])
        for name in ("", "id")
    ),
)
_INFER = Shape(
    {JSON: _REPLY, OCTETS: BYTES},
    takes={JSON: Part("InferAsked", InferRequest, frozenset({"raw", "binary"})), OCTETS: BYTES},
    query=query_of(ClassifyParameters),
)
"""Shapes that are those of what is really written, and of what is read."""

_SERVER = says(
    Like("Server", ({"name": "hawkvision-edge", "version": "1", "extensions": ["statistics"]},))
)
_CHANGE = says(Like("Changed", ({},)), takes={JSON: ChangeAsked}, needed=False)
_MODELS = {
    "": says(_MODEL),
    "/ready": Shape(),
    "/config": says(_CONFIG),
    "/stats": says(_STATS),
    "/infer": _INFER,
}
_TASK = "/v2/models/{task}"
SHAPES = {
    "/": _SERVER,
    "/v2": _SERVER,
    "/v2/health/live": Shape(),
    "/v2/health/ready": Shape(),
    "/metrics": Shape({"text/plain": TEXT}),
    "/v2/models/stats": says(_STATS),
    **{f"{_TASK}{end}": shape for end, shape in _MODELS.items()},
    **{f"{_TASK}/versions/{{version}}{end}": shape for end, shape in _MODELS.items()},
    "/v2/repository/index": says(tuple[VersionStatus, ...], takes={JSON: IndexAsked}, needed=False),
    "/v2/repository/models/{task}/load": _CHANGE,
    "/v2/repository/models/{task}/unload": _CHANGE,
}
"""By path; each has one method."""


def shaped(routes: Iterable[Route]) -> list[Route]:
    """These routes of the protocol with their shapes."""
    return [replace(route, shape=SHAPES[route.path]) for route in routes]
