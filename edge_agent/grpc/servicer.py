"""Tasks as models of the Open Inference Protocol, whichever of its faces they are asked through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.classify import Classifier, Request
from edge_agent.http.answering import answers_to, encoded
from edge_agent.http.auth import AppKeys
from edge_agent.http.describe import model_of
from edge_agent.http.tensors import output_specs, outputs_of, parameters_of
from edge_agent.local import LocalTask
from edge_agent.parameters import parse_parameters, parse_query
from hawkvision.errors import HawkVisionError, InvalidRequest, UnknownTask
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.description import ModelDescription
from hawkvision.oip.messages import InferReply, InferRequest
from hawkvision.oip.pictures import pictures_of
from hawkvision.oip.rest import check_outputs
from hawkvision.serving.control import ModelControl
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.grpc.inference import Answers, InferenceService

_ON_THE_WAY_S = 0.02
"""So long an answer may take from here to the client, who else would have none in time."""


class EdgeServicer(InferenceService):
    """Answers by the agent's own way of an image. A request has at most `max_batch` images.

    `refused` is told the code of every error.
    """

    def __init__(
        self,
        classifier: Classifier,
        control: ModelControl,
        keys: AppKeys,
        max_batch: int,
        refused: Callable[[str], None],
    ) -> None:
        super().__init__("hawkvision-edge")
        self._classifier = classifier
        self._control = control
        self._keys = keys
        self._max_batch = max_batch
        self._refused = refused

    @property
    def control(self) -> ModelControl:
        """See `InferenceService`."""
        return self._control

    def serving(self) -> Iterable[str]:
        """See `InferenceService`."""
        return self._classifier.tasks

    def describe(self, name: str, version: str) -> ModelDescription:
        """See `InferenceService`."""
        return model_of(self._local(name, version))

    def statistics_of(self, name: str, version: str) -> dict[str, Any]:
        """See `InferenceService`."""
        local = self._local(name, version)
        found = self._classifier.statistics_of(local)
        return found.as_dict(local.task.name, local.task.version)

    def check_caller(self, call: Call) -> None:
        """With keys on, whoever sends an app's may. Raises Unauthorized."""
        self._keys.caller(call.metadata.get("authorization"))

    def _local(self, name: str, version: str) -> LocalTask:
        """The task of that name, any version if none is asked for. Raises UnknownTask."""
        local = self._classifier.task(name)
        if version not in ("", local.task.version):
            raise UnknownTask(
                f"task {local.task.name!r} has no version {version[:40]!r}",
                hint=f"Version {local.task.version} serves.",
            )
        return local

    def begin(self, name: str, version: str) -> Answers:
        """See `InferenceService`; the answers raise as `/v1/classify` does."""
        return partial(self._answer, self._local(name, version))

    async def model_infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """See `InferenceService`; over REST errors are counted at the entrance."""
        try:
            return await super().model_infer(request, call)
        except HawkVisionError as error:
            self._refused(error.code)
            raise

    async def _answer(self, local: LocalTask, asked: InferRequest, call: Call) -> InferReply:
        arrived = time.monotonic() if call.arrived is None else call.arrived
        check_outputs(asked, [one.name for one in output_specs(local.task.kind)])
        resolved = self._resolved(local, asked, call, arrived)
        pictures = pictures_of(asked, self._max_batch)
        request_id = asked.id
        del asked  # images are held once, not twice, while they wait
        self._classifier.pool.check_room(len(pictures), resolved.deadline)
        images = [await self._encoded(one, resolved, call) for one in pictures]
        del pictures
        found = await answers_to(self._classifier, images, resolved)
        answers = [answer for _, answer in found]
        outputs = outputs_of(local, [outcome.prediction for outcome, _ in found], answers)
        task = local.task
        return InferReply(task.name, task.version, outputs, request_id, parameters_of(answers))

    async def _encoded(
        self, picture: bytes | npt.NDArray[np.uint8], resolved: Request, call: Call
    ) -> bytes:
        image = await encoded(self._classifier, picture, resolved)
        if image is not picture:
            call.hold(len(image))
        return image

    def _resolved(
        self, local: LocalTask, asked: InferRequest, call: Call, arrived: float
    ) -> Request:
        """The parameters, and no later a deadline than the call's own leaves."""
        base = parse_query(call.query)
        if base.task not in (None, local.task.name):
            raise InvalidRequest("task= and the path name different tasks")
        wanted = replace(parse_parameters(asked.parameters, base), task=local.task.name)
        headers = {"Authorization": call.metadata.get("authorization", "")}
        counted = self._keys.counted(wanted.app, headers)
        trace = self._classifier.trace(call.metadata.get("traceparent"), arrived)
        resolved = self._classifier.resolve(wanted, arrived, trace, counted, local)
        latest = call.deadline - _ON_THE_WAY_S
        return resolved._replace(deadline=latest) if latest < resolved.deadline else resolved
