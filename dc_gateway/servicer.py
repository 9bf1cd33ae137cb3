"""The gateway's inference: what is asked of the larger models, and what they answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from dc_gateway.batched import BatchedModel, Question
from dc_gateway.model import Asked, LargeModel
from dc_gateway.parameters import due_of, with_query
from dc_gateway.upstreams.base import TaskUpstream
from dc_gateway.upstreams.handing_on import handed_on
from hawkvision.errors import DeadlineExceeded, HawkVisionError, Overloaded, UnknownTask
from hawkvision.images import ImageLimits
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.description import ModelDescription
from hawkvision.oip.inference import build_reply, parse_priority
from hawkvision.oip.messages import InferReply, InferRequest, Scalar
from hawkvision.oip.pictures import Pixels, pictures_of
from hawkvision.oip.rest import check_outputs
from hawkvision.oip.rungs import parse_from_rung, rungs_said
from hawkvision.oip.statistics import ModelStatistics
from hawkvision.serving.claims import Claim, Priority
from hawkvision.serving.control import ModelControl
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.grpc.inference import Answers, InferenceService
from hawkvision.serving.in_time import by_deadline
from hawkvision.serving.pixels import PngOf
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.quota import Quota
from hawkvision.serving.tracing import Span, Tracing

UNREAD = "unread"
"""In place of a priority."""


class InferenceServicer(InferenceService):
    """Answers for `models`; decoding and inference run on the pool's threads.

    `models` are those that serve; `find` gives an older version too, where it is resident.
    `images` bounds what one client has in the pool. A model among `batched` shares batches among
    calls. `refused` counts calls that were too many or too late, by the error's code and priority
    (`UNREAD`: before the message that names it was received); `answered` images by task and the
    rung that answered.
    Calls for models that are not here go `elsewhere`, if there is such. `weights` are those of
    clients' shares, by `Peer.address`; 1 where there is none.
    """

    def __init__(
        self,
        models: Mapping[str, LargeModel],
        pool: WorkerPool,
        max_images: int,
        images: Quota,
        batched: Mapping[LargeModel, BatchedModel],
        find: Callable[[str, str], LargeModel | None],
        control: ModelControl,
        limits: ImageLimits | None = None,
        elsewhere: TaskUpstream | None = None,
        tracing: Tracing | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__("hawkvision")
        self._tracing = tracing
        self._elsewhere = elsewhere
        self._models = models
        self._find = find
        self._pool = pool
        self._max_images = max_images
        self._images = images
        self._weights = weights or {}
        self._batched = batched
        self._png = PngOf(ImageLimits() if limits is None else limits)
        self._control = control
        self.refused: Counter[tuple[str, str]] = Counter()
        self._statistics = WeakKeyDictionary[LargeModel, ModelStatistics]()
        self.answered: Counter[tuple[str, str]] = Counter()

    def check_room(self, call: Call) -> None:
        """See `InferenceService`: whether a user's single image would be answered in time."""
        try:
            self._pool.check_turn(Claim(call.peer.address), call.deadline)
        except Overloaded as error:
            self.refused[error.code, UNREAD] += 1
            raise

    def _is_elsewhere(self, name: str) -> TaskUpstream | None:
        """Who answers for a model that is not here, if anybody does."""
        return None if name in self._models else self._elsewhere

    @property
    def able(self) -> bool:
        """See `InferenceService`: not while nobody is there to do it."""
        return bool(self._models) or self._elsewhere is None or self._elsewhere.ready

    async def model_ready(
        self, request: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """See `InferenceService`."""
        if (elsewhere := self._is_elsewhere(request.name)) is not None:
            return await elsewhere.model_ready(request, call)
        return await super().model_ready(request, call)

    async def model_metadata(
        self, request: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """See `InferenceService`. Raises UpstreamUnavailable too."""
        if (elsewhere := self._is_elsewhere(request.name)) is not None:
            return await elsewhere.metadata(request, call)
        return await super().model_metadata(request, call)

    async def model_config(
        self, request: messages.ModelConfigRequest, call: Call
    ) -> messages.ModelConfigResponse:
        """See `InferenceService`. Raises UpstreamUnavailable too."""
        if (elsewhere := self._is_elsewhere(request.name)) is not None:
            return await elsewhere.config(request, call)
        return await super().model_config(request, call)

    async def model_statistics(
        self, request: messages.ModelStatisticsRequest, call: Call
    ) -> messages.ModelStatisticsResponse:
        """See `InferenceService`; without a name, of the models here. As `model_config`."""
        if request.name and (elsewhere := self._is_elsewhere(request.name)) is not None:
            return await elsewhere.statistics(request, call)
        return await super().model_statistics(request, call)

    def _model(self, name: str, version: str) -> LargeModel:
        """The model that serves `name`, or its `version` where that is resident.

        Raises UnknownTask.
        """
        found = self._find(name, version)
        if found is not None:
            return found
        model = self._models.get(name)
        if model is None:
            known = ", ".join(sorted(self._models))
            raise UnknownTask(f"no model {name[:80]!r}", hint=f"Models here: {known}.")
        raise UnknownTask(
            f"model {name!r} has no version {version[:40]!r}",
            hint=f"Version {model.task.version} serves.",
        )

    @property
    def control(self) -> ModelControl:
        """See `InferenceService`."""
        return self._control

    def serving(self) -> Iterable[str]:
        """See `InferenceService`."""
        return self._models

    def describe(self, name: str, version: str) -> ModelDescription:
        """See `InferenceService`."""
        model = self._model(name, version)
        platform = model.rungs[-1].engine.metadata.platform
        task = model.task
        return ModelDescription(task.name, task.version, platform, tuple(task.kind.tensors))

    def statistics_of(self, name: str, version: str) -> dict[str, Any]:
        """See `InferenceService`."""
        model = self._model(name, version)
        return self._of(model).as_dict(model.task.name, model.task.version)

    def _of(self, model: LargeModel) -> ModelStatistics:
        """What a version has answered, as long as it is resident."""
        return self._statistics.setdefault(model, ModelStatistics())

    def begin(self, name: str, version: str) -> Answers:
        """See `InferenceService`; what others have they say themselves.

        The answers raise InvalidRequest, UnknownTask, the image errors, Overloaded,
        DeadlineExceeded, EngineError, and UpstreamUnavailable.
        """
        if (elsewhere := self._is_elsewhere(name)) is not None:
            return partial(handed_on, elsewhere, name, version)
        return partial(self._answer, self._model(name, version), name)

    async def model_infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """See `InferenceService`; for others a request stays as it is."""
        if (elsewhere := self._is_elsewhere(request.model_name)) is not None:
            return await elsewhere.infer(request, call)
        return await super().model_infer(request, call)

    async def _answer(
        self, model: LargeModel, name: str, asked: InferRequest, call: Call
    ) -> InferReply:
        begun = time.monotonic()
        statistics = self._of(model)
        span = self._span(call, begun)
        answer = self._infer(model, name, asked, call)
        del asked
        try:
            reply, count = await answer
        except HawkVisionError as error:
            statistics.failed(time.monotonic() - begun)
            if span is not None:
                span.end(time.monotonic(), {"hawkvision.task": model.task.name}, error)
            raise
        statistics.served(time.monotonic() - begun, count)
        if span is not None:
            span.end(time.monotonic(), _told(model, count))
        return reply

    def _span(self, call: Call, begun: float) -> Span | None:
        if self._tracing is None:
            return None
        return self._tracing.begin("hawkvision.infer", call.metadata.get("traceparent"), begun)

    async def _infer(
        self,
        model: LargeModel,
        name: str,
        asked: InferRequest,
        call: Call,
    ) -> tuple[InferReply, int]:
        """The reply, and how many images it is of."""
        kind = model.task.kind
        check_outputs(asked, [tensor.name for tensor in kind.tensors])
        pictures = pictures_of(asked, self._max_images)
        request_id, given = asked.id, with_query(asked.parameters, call.query)
        del asked  # its images are held once, not twice, while they wait
        priority = Priority.of(parse_priority(given))
        from_rung = parse_from_rung(given, len(model.task.rungs) - 1)
        due = due_of(given, call.deadline)
        who = call.peer.address
        claim = Claim(who, self._weights.get(who, 1.0), priority, due - time.monotonic())
        try:
            with self._images.take(call.peer, len(pictures)):
                images = [await self._encoded(one, due, claim, call) for one in pictures]
                del pictures
                question = Question(images, due, claim, model.start(from_rung))
                # The call's own time is kept by its door; what the request says, by nobody else.
                # The future has no name here: it would keep what failed, and this frame, alive.
                found = await (
                    self._submit(model, question)
                    if due >= call.deadline
                    else by_deadline(self._submit(model, question), due)
                )
        except (Overloaded, DeadlineExceeded) as error:
            self.refused[error.code, priority.name.lower()] += 1
            raise
        task = model.task
        outputs = kind.encode(found.answers)
        reply = build_reply(
            name, task.version, request_id, outputs, agrees=model.agrees, flavour=task.flavour
        )
        said = self._rungs_of(model, found, from_rung)
        if said:
            reply = replace(reply, parameters={**reply.parameters, **said})
        return reply, len(found.places)

    async def _encoded(
        self, picture: bytes | Pixels, due: float, claim: Claim, call: Call
    ) -> bytes:
        """Plain pixels become a PNG: from there on they are an image like any other."""
        if isinstance(picture, bytes):
            return picture
        image: bytes = await self._pool.submit(self._png, picture, deadline=due, claim=claim)
        call.hold(len(image))
        return image

    def _rungs_of(self, model: LargeModel, asked: Asked, from_rung: int) -> dict[str, Scalar]:
        """Count who answered, and say it where it could be any of several rungs."""
        for place in asked.places:
            self.answered[model.task.name, model.rungs[place - model.first].name] += 1
        if len(model.task.rungs) <= 2:
            return {}
        return rungs_said(asked.places, model.first if model.first > from_rung else None)

    def _submit(self, model: LargeModel, question: Question) -> asyncio.Future[Asked]:
        """Raises Overloaded or DeadlineExceeded at once."""
        batched = self._batched.get(model)
        count, deadline, claim = len(question.images), question.deadline, question.claim
        if batched is None:
            work = partial(model.predict, start=question.start)
            return self._pool.submit(
                work, question.images, items=count, deadline=deadline, claim=claim
            )
        batched.check(question)
        answer = batched.works[question.start]
        return self._pool.submit(answer, question, items=count, deadline=deadline, claim=claim)


def _told(model: LargeModel, images: int) -> dict[str, str | int]:
    return {
        "hawkvision.task": model.task.name,
        "hawkvision.version": model.task.version,
        "hawkvision.images": images,
    }
