"""`/v2/models…`: tasks as models of the Open Inference Protocol, answered like all images."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

from edge_agent.classify import Classifier, Request
from edge_agent.http.answering import answers_to, encoded
from edge_agent.http.auth import AppKeys
from edge_agent.http.bodies import BodyReader, Claim
from edge_agent.http.describe import describe_model, model_of
from edge_agent.http.replies import json_reply
from edge_agent.http.routes import Entrance, Route
from edge_agent.http.tensors import output_specs, outputs_of, parameters_of
from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from edge_agent.parameters import ClassifyParameters, parse_parameters, parse_query
from hawkvision.contract.answer import Answer
from hawkvision.errors import InvalidRequest, UnknownTask
from hawkvision.oip.messages import InferReply, InferRequest
from hawkvision.oip.pictures import pictures_of
from hawkvision.oip.rest import LENGTH, check_outputs, parse_infer, write_reply

_TASK = "/v2/models/{task}"
_VERSION = f"{_TASK}/versions/{{version}}"


class InferenceRoutes:
    """For stock clients of the protocol, `tritonclient.http` among them."""

    def __init__(
        self, classifier: Classifier, bodies: BodyReader, keys: AppKeys, entrance: Entrance
    ) -> None:
        self._classifier = classifier
        self._bodies = bodies
        self._keys = keys
        self._entrance = entrance

    def table(self) -> list[Route]:
        """The routes."""
        return [
            Route("GET", "/v2/models/stats", self.all_stats),
            *(
                route
                for path in (_TASK, _VERSION)
                for route in (
                    Route("GET", path, self.model),
                    Route("GET", f"{path}/ready", self.ready),
                    Route("GET", f"{path}/config", self.config),
                    Route("GET", f"{path}/stats", self.stats),
                    Route("POST", f"{path}/infer", self.infer),
                )
            ),
        ]

    def _local(self, request: web.Request) -> LocalTask:
        """The task that the path names. Raises UnknownTask, also for another version."""
        local = self._classifier.task(request.match_info["task"])
        version, serves = request.match_info.get("version"), local.task.version
        if version not in (None, serves):
            raise UnknownTask(
                f"task {local.task.name!r} has no version {str(version)[:40]!r}",
                hint=f"Version {serves} serves.",
            )
        return local

    async def model(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}`: its tensors."""
        return json_reply(describe_model(self._local(request)))

    async def config(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/config`: its tensors, as Triton's configurations have them."""
        return json_reply(model_of(self._local(request)).configuration())

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/ready`: the status says it, 503 while draining."""
        self._local(request)
        return web.Response(
            status=503 if self._entrance.draining else 200, content_type="text/plain"
        )

    async def stats(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}/stats`."""
        return json_reply({"model_stats": [self._stats(self._local(request))]})

    async def all_stats(self, _request: web.Request) -> web.Response:
        """`GET /v2/models/stats`: of every task."""
        tasks = self._classifier.tasks.values()
        return json_reply({"model_stats": [self._stats(local) for local in tasks]})

    def _stats(self, local: LocalTask) -> dict[str, Any]:
        task = local.task
        return self._classifier.statistics_of(local).as_dict(task.name, task.version)

    async def infer(self, request: web.Request) -> web.Response:
        """`POST /v2/models/{task}/infer`: the images of one request, all or none answered."""
        arrived = time.monotonic()
        trace = self._classifier.trace(request.headers.get("traceparent"), arrived)
        local = self._local(request)
        with self._bodies.claim() as claim:
            body = await self._bodies.tensors(request, claim)
            asked = parse_infer(body, request.headers.get(LENGTH))
            del body
            check_outputs(asked, {one.name for one in output_specs(local.task.kind)})
            wanted = self._parameters(local, request, asked)
            counted = self._keys.counted(wanted.app, request.headers)
            resolved = self._classifier.resolve(wanted, arrived, trace, counted, local)
            pictures = pictures_of(asked, self._bodies.max_batch)
            asked = replace(asked, inputs=())  # images are held once, not twice, while they wait
            self._classifier.pool.check_room(len(pictures), resolved.deadline)
            images = [await self._encoded(one, resolved, claim) for one in pictures]
            del pictures
            found = await answers_to(self._classifier, images, resolved)
        return _reply(local, asked, found)

    def _parameters(
        self, local: LocalTask, request: web.Request, asked: InferRequest
    ) -> ClassifyParameters:
        base = parse_query(request.rel_url.raw_query_string)
        if base.task not in (None, local.task.name):
            raise InvalidRequest("task= and the path name different tasks")
        return replace(parse_parameters(asked.parameters, base), task=local.task.name)

    async def _encoded(
        self, picture: bytes | npt.NDArray[np.uint8], resolved: Request, claim: Claim
    ) -> bytes:
        image = await encoded(self._classifier, picture, resolved)
        if image is not picture:
            claim.add(len(image))
        return image


def _reply(
    local: LocalTask, asked: InferRequest, found: list[tuple[Outcome, Answer]]
) -> web.Response:
    answers = [answer for _, answer in found]
    outputs = outputs_of(local, [outcome.prediction for outcome, _ in found], answers)
    reply = InferReply(
        local.task.name, local.task.version, outputs, asked.id, parameters_of(answers)
    )
    body, length = write_reply(reply, asked)
    if length is None:
        return web.Response(body=body, content_type="application/json")
    return web.Response(
        body=body, content_type="application/octet-stream", headers={LENGTH: str(length)}
    )
