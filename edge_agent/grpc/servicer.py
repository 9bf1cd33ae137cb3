"""Tasks as models of the Open Inference Protocol, whichever of its faces they are asked through."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.classify import Classifier, Request
from edge_agent.http.answering import answers_to, encoded
from edge_agent.http.auth import counted_as
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
from hawkvision.serving.access.guard import DENIALS, Guard, current_caller
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.control import ModelControl
from hawkvision.serving.grpc.entrance import Call, Method
from hawkvision.serving.grpc.inference import Answers, InferenceService
from hawkvision.serving.grpc.streams import StreamMethod

SCOPES = {
    "ServerLive": Scope.PUBLIC,
    "ServerReady": Scope.PUBLIC,
    "ModelReady": Scope.READ,
    "ServerMetadata": Scope.READ,
    "ModelMetadata": Scope.READ,
    "ModelConfig": Scope.READ,
    "ModelStatistics": Scope.READ,
    "RepositoryIndex": Scope.READ,
    "RepositoryModelLoad": Scope.MODELS,
    "RepositoryModelUnload": Scope.MODELS,
    "ModelInfer": Scope.CLASSIFY,
    "ModelStreamInfer": Scope.CLASSIFY,
}
"""What each method needs of a key, as its route over REST does."""

_CHANGES = {"RepositoryModelLoad": "models.loaded", "RepositoryModelUnload": "models.unloaded"}
Answering = Callable[[Any, Call], Awaitable[Any]]
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
        guard: Guard,
        max_batch: int,
        refused: Callable[[str], None],
    ) -> None:
        super().__init__("hawkvision-edge")
        self._classifier = classifier
        self._control = control
        self._guard = guard
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

    def methods(self) -> dict[str, Method[Any]]:
        """See `InferenceService`; with keys on, each asks for its scope before its message comes,
        and what changes something is noted."""
        return {name: self._guarded(name, one) for name, one in super().methods().items()}

    def _guarded(self, name: str, method: Method[Any]) -> Method[Any]:
        if name in _CHANGES:
            method = replace(method, answer=self._noted(method.answer, _CHANGES[name]))
        admit, room = self._admission(name), method.room
        if admit is None:
            return method

        def admitted(call: Call) -> None:
            admit(call)
            if room is not None:
                room(call)

        return replace(method, room=admitted)

    def streams(self) -> dict[str, StreamMethod]:
        """See `InferenceService`; with keys on, a stream and each of its messages is asked for."""
        return {name: self._guarded_stream(name, one) for name, one in super().streams().items()}

    def _guarded_stream(self, name: str, method: StreamMethod) -> StreamMethod:
        admit, answer = self._admission(name), method.answer
        if admit is None:
            return method

        async def answered(request: Any, call: Call) -> Any:
            admit(call)
            return await answer(request, call)

        return replace(method, answer=answered, room=admit)

    def _admission(self, name: str) -> Callable[[Call], None] | None:
        """Lets a call of this method in, in the call's own task, or raises why not."""
        scope, guard = SCOPES[name], self._guard
        if not guard.on or scope is Scope.PUBLIC:
            return None

        def admit(call: Call) -> None:
            guard.enter(guard.admit(call.metadata, scope, call.peer.address, name))

        return admit

    def _noted(self, answer: Answering, event: str) -> Answering:
        """Its calls, and what became of them, are noted in the audit log."""

        async def noted(request: Any, call: Call) -> Any:
            result = "failed"
            try:
                reply = await answer(request, call)
                result = "done"
                return reply
            except HawkVisionError as error:
                result = error.code
                raise
            finally:
                caller, peer = current_caller(), call.peer.address
                self._guard.audit.note(
                    event, key=caller.key, peer=peer, result=result, task=request.model_name
                )

        return noted

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
            if isinstance(error, DENIALS):
                key, peer = current_caller().key, call.peer.address
                self._guard.denied(error, key, peer, "ModelInfer")
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
        counted = counted_as(current_caller(), wanted.app)
        trace = self._classifier.trace(call.metadata.get("traceparent"), arrived)
        resolved = self._classifier.resolve(wanted, arrived, trace, counted, local)
        latest = call.deadline - _ON_THE_WAY_S
        return resolved._replace(deadline=latest) if latest < resolved.deadline else resolved
