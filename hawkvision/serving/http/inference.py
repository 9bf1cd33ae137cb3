"""`/v2/models…`: models of the Open Inference Protocol over REST, answered by its service.

The same `InferenceService` answers over gRPC; here are the paths, JSON and bodies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from hawkvision.json_schema import Like, Part
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.description import ModelDescription
from hawkvision.oip.messages import InferReply, InferRequest, OutputTensor
from hawkvision.oip.plain import plain
from hawkvision.oip.rest import LENGTH, parse_infer, write_reply
from hawkvision.oip.statistics import ModelStatistics
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.calls import ANYBODY, Callers, Named, model_named
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.server import said
from hawkvision.serving.http.shapes import BYTES, JSON, OCTETS, Shape, says
from hawkvision.serving.in_time import in_time
from hawkvision.tasks import TensorSpec

_TASK = "/v2/models/{task}"
_VERSION = f"{_TASK}/versions/{{version}}"
QUERY: Mapping[str, Any] = {"task": str, "accuracy": float | str, "deadline_ms": float, "app": str}

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
    query=QUERY,
)
"""Shapes that are those of what is really written, and of what is read."""


class InferenceRoutes:
    """For stock clients of the protocol, `tritonclient.http` among them.

    An answer may take `most_s` seconds from the arrival of its request; None leaves that to the
    service.
    """

    def __init__(
        self,
        service: InferenceService,
        bodies: BodyReader,
        most_s: float | None = None,
        callers: Callers = ANYBODY,
    ) -> None:
        self._callers = callers
        self._service = service
        self._bodies = bodies
        self._most_s = most_s

    def table(self) -> list[Route]:
        """The routes."""
        read, infer = Scope.READ, Scope.CLASSIFY
        return [
            Route("GET", "/v2/models/stats", self.all_stats, read, says(_STATS)),
            *(
                route
                for path in (_TASK, _VERSION)
                for route in (
                    Route("GET", path, self.model, read, says(_MODEL)),
                    Route("GET", f"{path}/ready", self.ready, read, Shape()),
                    Route("GET", f"{path}/config", self.config, read, says(_CONFIG)),
                    Route("GET", f"{path}/stats", self.stats, read, says(_STATS)),
                    Route("POST", f"{path}/infer", self.infer, infer, _INFER),
                )
            ),
        ]

    def _call(self, request: web.Request) -> Call:
        return self._callers.call(request, time.monotonic(), self._most_s)

    async def model(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}`: its tensors."""
        asked = messages.ModelMetadataRequest(**model_named(request)._asdict())
        return json_reply(plain(await self._service.model_metadata(asked, self._call(request))))

    async def config(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/config`: its tensors, as Triton's configurations have them."""
        asked = messages.ModelConfigRequest(**model_named(request)._asdict())
        found = await self._service.model_config(asked, self._call(request))
        return json_reply(plain(found.config))

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/ready`: the status says it, 503 while draining."""
        named = model_named(request)
        self._service.begin(*named)  # an unknown one is 404, and not 503
        asked = messages.ModelReadyRequest(**named._asdict())
        found = await self._service.model_ready(asked, self._call(request))
        return said(200 if found.ready else 503)

    async def stats(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/stats`."""
        return await self._stats(request, model_named(request))

    async def all_stats(self, request: web.Request) -> web.Response:
        """`GET /v2/models/stats`: of every model that serves here."""
        return await self._stats(request, Named("", ""))

    async def _stats(self, request: web.Request, named: Named) -> web.Response:
        asked = messages.ModelStatisticsRequest(**named._asdict())
        return json_reply(plain(await self._service.model_statistics(asked, self._call(request))))

    async def infer(self, request: web.Request) -> web.Response:
        """`POST /v2/models/{task}/infer`: the images of one request, all or none answered."""
        arrived = time.monotonic()
        answers = self._service.begin(*model_named(request))
        call = self._callers.call(request, arrived, self._most_s)
        self._service.check_room(call)
        with self._bodies.claim(call.peer) as claim:
            call = replace(call, hold=claim.add)
            body = await self._bodies.tensors(request, claim)
            asked = parse_infer(body, request.headers.get(LENGTH))
            del body
            head = replace(asked, inputs=())  # images are held once, not twice, while they wait
            answer = answers(asked, call)
            del asked
            if self._most_s is None:
                reply = await answer
            else:
                reply = await in_time(answer, call.deadline, self._most_s)
        return _reply(reply, head)


def _reply(reply: InferReply, asked: InferRequest) -> web.Response:
    body, length = write_reply(reply, asked)
    if length is None:
        return web.Response(body=body, content_type="application/json")
    return web.Response(
        body=body, content_type="application/octet-stream", headers={LENGTH: str(length)}
    )
