"""`inference.GRPCInferenceService`: what each call accepts and returns, and nothing else."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

import grpc
import grpc.aio

from dc_gateway.model import LargeModel
from dc_gateway.status import status_of
from hawkvision import __version__
from hawkvision.errors import UnknownTask
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip import open_inference_pb2_grpc as services
from hawkvision.oip.inference import INPUT, build_reply, parse_images
from hawkvision.serving.pool import WorkerPool

_log = logging.getLogger(__name__)


class InferenceServicer(services.GRPCInferenceServiceServicer):
    """Answers for `models`; decoding and inference run on the pool's threads."""

    def __init__(
        self,
        models: Mapping[str, LargeModel],
        pool: WorkerPool,
        max_images: int,
    ) -> None:
        self._models = models
        self._pool = pool
        self._max_images = max_images
        self.draining = False

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

    async def ServerLive(  # noqa: N802
        self, request: messages.ServerLiveRequest, context: object
    ) -> messages.ServerLiveResponse:
        """The process answers."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, request: messages.ServerReadyRequest, context: object
    ) -> messages.ServerReadyResponse:
        """Whether new work is welcome: not while draining."""
        return messages.ServerReadyResponse(ready=not self.draining)

    async def ModelReady(  # noqa: N802
        self, request: messages.ModelReadyRequest, context: object
    ) -> messages.ModelReadyResponse:
        """Whether this model and version serves; an unknown one is not ready."""
        try:
            self._model(request.name, request.version)
        except UnknownTask:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=not self.draining)

    async def ServerMetadata(  # noqa: N802
        self, request: messages.ServerMetadataRequest, context: object
    ) -> messages.ServerMetadataResponse:
        """Name and version of the server."""
        return messages.ServerMetadataResponse(name="hawkvision", version=__version__)

    async def ModelMetadata(  # noqa: N802
        self,
        request: messages.ModelMetadataRequest,
        context: grpc.aio.ServicerContext[
            messages.ModelMetadataRequest, messages.ModelMetadataResponse
        ],
    ) -> messages.ModelMetadataResponse:
        """Tensors of a model; NOT_FOUND for one that does not serve."""
        try:
            model = self._model(request.name, request.version)
        except UnknownTask as error:
            status = status_of(error)
            await context.abort(status.code, status.details)
        reply = messages.ModelMetadataResponse(
            name=model.task.name,
            versions=[model.task.version],
            platform=model.rungs[-1].engine.metadata.platform,
        )
        reply.inputs.add(name=INPUT, datatype="BYTES", shape=[-1])
        for tensor in model.task.kind.tensors:
            reply.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=[-1, *tensor.shape])
        return reply

    async def ModelInfer(  # noqa: N802
        self,
        request: messages.ModelInferRequest,
        context: grpc.aio.ServicerContext[messages.ModelInferRequest, messages.ModelInferResponse],
    ) -> messages.ModelInferResponse:
        """Classify the images of one request; the errors are those of `status_of`."""
        try:
            return await self._infer(request, context.time_remaining())
        except Exception as error:
            status = status_of(error)
            if status.code is grpc.StatusCode.INTERNAL:
                _log.exception("request %r for %r failed", request.id, request.model_name)
        return await context.abort(status.code, status.details, status.trailing)

    async def _infer(
        self, request: messages.ModelInferRequest, timeout_s: float | None
    ) -> messages.ModelInferResponse:
        model = self._model(request.model_name, request.model_version)
        kind = model.task.kind
        images = parse_images(request, self._max_images, [tensor.name for tensor in kind.tensors])
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        predictions = await self._pool.submit(
            lambda found, ticket: model.predict(found, ticket.check),
            images,
            items=len(images),
            deadline=deadline,
        )
        outputs = kind.encode(predictions)
        return build_reply(request, model.task.version, outputs, agrees=model.agrees)
