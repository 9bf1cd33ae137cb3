"""`inference.GRPCInferenceService`: what each call accepts and returns, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import grpc

from dc_gateway.batched import BatchedModel, Question
from dc_gateway.config import STRUCTURE_BYTES
from dc_gateway.entrance import Call, Entrance, Method
from dc_gateway.model import LargeModel
from dc_gateway.quota import Quota
from dc_gateway.upstreams.base import TaskUpstream
from hawkvision import __version__
from hawkvision.errors import DeadlineExceeded, Overloaded, PayloadTooLarge, UnknownTask
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.inference import INPUT, build_reply, parse_images, parse_priority
from hawkvision.oip.structure import check_structure
from hawkvision.serving.claims import Claim, Priority
from hawkvision.serving.pool import WorkerPool

SERVICE = "inference.GRPCInferenceService"


def check_small(raw: bytes) -> None:
    """Raise PayloadTooLarge for a message that is too large for a method without images."""
    if len(raw) > STRUCTURE_BYTES:
        raise PayloadTooLarge(
            f"a message of {len(raw)} bytes; the limit is {STRUCTURE_BYTES} for this method",
            hint="It takes names only.",
        )


def _check_infer(raw: bytes) -> None:
    check_structure(raw, STRUCTURE_BYTES)


class InferenceServicer:
    """Answers for `models`; decoding and inference run on the pool's threads.

    `images` bounds what one client has in the pool. A model among `batched` shares batches among
    calls. `refused` counts calls that were too many or too late, by the error's code and priority.
    Calls for models that are not here go `elsewhere`, if there is such.
    """

    def __init__(
        self,
        models: Mapping[str, LargeModel],
        pool: WorkerPool,
        max_images: int,
        images: Quota,
        batched: Mapping[str, BatchedModel],
        elsewhere: TaskUpstream | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._models = models
        self._pool = pool
        self._max_images = max_images
        self._images = images
        self._batched = batched
        self.refused: Counter[tuple[str, str]] = Counter()
        self.draining = False

    def handlers(self, entrance: Entrance) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """By the method's name."""
        table: dict[str, Method[Any]] = {
            "ServerLive": Method(messages.ServerLiveRequest, self.server_live, check_small),
            "ServerReady": Method(messages.ServerReadyRequest, self.server_ready, check_small),
            "ModelReady": Method(messages.ModelReadyRequest, self.model_ready, check_small),
            "ServerMetadata": Method(
                messages.ServerMetadataRequest, self.server_metadata, check_small
            ),
            "ModelMetadata": Method(
                messages.ModelMetadataRequest, self.model_metadata, check_small
            ),
            "ModelInfer": Method(messages.ModelInferRequest, self.model_infer, _check_infer),
        }
        return {name: entrance.unary(method) for name, method in table.items()}

    def _model(self, name: str, version: str) -> LargeModel:
        """The model that serves `name`, any version if none is asked for. Raises UnknownTask."""
        model = self._models.get(name)
        if model is None:
            known = ", ".join(sorted(self._models))
            raise UnknownTask(f"no model {name[:80]!r}", hint=f"Models here: {known}.")
        if version not in ("", model.task.version):
            raise UnknownTask(
                f"model {name!r} has no version {version[:40]!r}",
                hint=f"Version {model.task.version} serves.",
            )
        return model

    async def server_live(
        self, request: messages.ServerLiveRequest, call: Call
    ) -> messages.ServerLiveResponse:
        """The process answers."""
        return messages.ServerLiveResponse(live=True)

    async def server_ready(
        self, request: messages.ServerReadyRequest, call: Call
    ) -> messages.ServerReadyResponse:
        """Whether new work is welcome: not while draining, nor while nobody is there to do it."""
        able = bool(self._models) or self._elsewhere is None or self._elsewhere.ready
        return messages.ServerReadyResponse(ready=able and not self.draining)

    async def model_ready(
        self, request: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """Whether this model and version serves; an unknown one is not ready."""
        if self._elsewhere is not None and request.name not in self._models:
            return await self._elsewhere.model_ready(request, call)
        try:
            self._model(request.name, request.version)
        except UnknownTask:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=not self.draining)

    async def server_metadata(
        self, request: messages.ServerMetadataRequest, call: Call
    ) -> messages.ServerMetadataResponse:
        """Name and version of the server."""
        return messages.ServerMetadataResponse(name="hawkvision", version=__version__)

    async def model_metadata(
        self, request: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """Tensors of a model. Raises UnknownTask."""
        if self._elsewhere is not None and request.name not in self._models:
            return await self._elsewhere.metadata(request, call)
        model = self._model(request.name, request.version)
        reply = messages.ModelMetadataResponse(
            name=model.task.name,
            versions=[model.task.version],
            platform=model.rungs[-1].engine.metadata.platform,
        )
        reply.inputs.add(name=INPUT, datatype="BYTES", shape=[-1])
        for tensor in model.task.kind.tensors:
            reply.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=[-1, *tensor.shape])
        return reply

    async def model_infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """Classify the images of one request.

        Raises InvalidRequest, UnknownTask, the image errors, Overloaded, DeadlineExceeded and
        EngineError, and UpstreamUnavailable.
        """
        if self._elsewhere is not None and request.model_name not in self._models:
            return await self._elsewhere.infer(request, call)
        model = self._model(request.model_name, request.model_version)
        kind = model.task.kind
        images = parse_images(request, self._max_images, [tensor.name for tensor in kind.tensors])
        priority = Priority.of(parse_priority(request))
        head = messages.ModelInferRequest(model_name=request.model_name, id=request.id)
        del request  # its images are held once, not twice, while they wait
        claim = Claim(call.peer.address, 1.0, priority, call.deadline - time.monotonic())
        try:
            with self._images.take(call.peer, len(images)):
                predictions = await self._submit(model, Question(images, call.deadline, claim))
        except (Overloaded, DeadlineExceeded) as error:
            self.refused[error.code, priority.name.lower()] += 1
            raise
        outputs = kind.encode(predictions)
        return build_reply(
            head, model.task.version, outputs, agrees=model.agrees, flavour=model.task.flavour
        )

    def _submit(self, model: LargeModel, question: Question) -> asyncio.Future[list[Any]]:
        """Raises Overloaded or DeadlineExceeded at once."""
        batched = self._batched.get(model.task.name)
        count, deadline, claim = len(question.images), question.deadline, question.claim
        if batched is None:
            return self._pool.submit(
                model.predict, question.images, items=count, deadline=deadline, claim=claim
            )
        batched.check(question)
        return self._pool.submit(
            batched.answer, question, items=count, deadline=deadline, claim=claim
        )
