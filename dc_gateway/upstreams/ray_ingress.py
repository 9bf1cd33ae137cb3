"""The gateway's servicer behind Ray Serve's gRPC ingress. Imports nothing of Ray.

What Ray does not pass on: the client's deadline (so it is read from the request's parameters) and
the bytes of a message (so they are bounded once they are parsed). An exception would reach the
client as INTERNAL with our traceback; so every error is set on Ray's context.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from dc_gateway.config import GatewayConfig
from dc_gateway.loading import ModelSource
from dc_gateway.model import LargeModel, wanted_tasks
from dc_gateway.servicer import InferenceServicer
from dc_gateway.upstreams.base import RungName
from dc_gateway.upstreams.model import RemoteModel
from dc_gateway.upstreams.ray_rungs import RayRungs
from dc_gateway.upstreams.ray_settings import RaySettings
from hawkvision.errors import DeadlineExceeded, PayloadTooLarge, UnknownTask
from hawkvision.oip import health_pb2 as health
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.control import IndexOnly
from hawkvision.serving.grpc.entrance import Call, told
from hawkvision.serving.grpc.inference import refuse_one
from hawkvision.serving.grpc.peers import parse_peer
from hawkvision.serving.grpc.status import Status
from hawkvision.serving.grpc.streams import ENDS_WITH_AN_ERROR
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.quota import Quota
from hawkvision.serving.reloading import Hooks, Reloader

Reply = TypeVar("Reply", bound=Message)
_TIMEOUT = "timeout"
_MICRO = 1e-6
_SMALL = 64 * 1024
_NO_REST = (
    "not_supported: on Ray Serve the protocol is spoken over gRPC alone; for REST start "
    "`hawkvision dc --http-port 8000 --upstream HOST:8001`"
)


class RayContext(Protocol):
    """What is used of Ray's `RayServegRPCContext`."""

    def peer(self) -> str:
        """As gRPC says it."""
        ...

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """What the client sent before its requests."""
        ...

    def set_code(self, code: grpc.StatusCode) -> None:
        """Of the call's end."""
        ...

    def set_details(self, details: str) -> None:
        """For the client."""
        ...

    def set_trailing_metadata(self, metadata: list[tuple[str, str]]) -> None:
        """After the reply."""
        ...


class StreamEnded(Exception):
    """Ends a stream on Ray, which sends the status that its context was told, not this."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Reply]):
    """What answers a call; how large its message may be, and what time it allows itself."""

    answer: Callable[[InferenceServicer, Call], Awaitable[Reply]]
    most_bytes: int
    allowed_s: float | None = None


def _small(kind: type[Reply], method: Callable[[Any, Any, Call], Awaitable[Reply]]) -> Any:
    """A method of the ingress that takes no images, answered by that of the servicer."""

    async def answer(self: Ingress, request: Message, grpc_context: RayContext) -> Reply:
        asked = Asked(lambda servicer, call: method(servicer, request, call), _SMALL)
        return await self.answer(kind, request, grpc_context, asked)

    return answer


class Ingress:
    """One replica of the ingress: `handles` reach the rungs, by (task, rung).

    `is_lost` knows Ray's errors of a replica that ended. Methods are named as the protocol's.
    """

    def __init__(
        self,
        settings: str,
        handles: Mapping[tuple[str, str], Any],
        is_lost: tuple[type[BaseException], ...],
    ) -> None:
        self._settings = RaySettings.of_text(settings)
        self._handles = {RungName(*names): handle for names, handle in handles.items()}
        self._is_lost = is_lost
        self._making = asyncio.Lock()
        self._servicer: InferenceServicer | None = None

    async def _ready(self) -> InferenceServicer:
        """Made with the first call, within Ray's event loop."""
        if self._servicer is None:
            async with self._making:
                if self._servicer is None:
                    self._servicer = await self._make(self._settings.config())
        return self._servicer

    async def _make(self, config: GatewayConfig) -> InferenceServicer:
        loop = asyncio.get_running_loop()
        told_by_all = [await one.describe.remote() for one in self._handles.values()]
        said = [rung for told_by_one in told_by_all for rung in told_by_one]
        upstream = RayRungs(self._handles, loop, self._is_lost)
        models: dict[str, LargeModel] = {
            name: RemoteModel(task, said, upstream, config.limits)
            for name, task in wanted_tasks(config).items()
        }
        catalog = Catalog[LargeModel]()
        versions = Reloader(catalog, ModelSource(config), Hooks[LargeModel]())
        versions.begin_with(models)
        return InferenceServicer(
            catalog.serving,
            WorkerPool(config.lanes, config.max_queue, loop, fair=True),
            config.images_per_request,
            Quota("images", config.max_queue + config.lanes, config.max_client_share),
            {},
            lambda name, version: catalog.find(name, version, time.monotonic()),
            IndexOnly(versions),
            config.limits,
        )

    async def tried(
        self, request: Message, context: RayContext, asked: Asked[Reply]
    ) -> Reply | Status:
        """The answer, or the status that ends the call."""
        most_s = self._settings.max_deadline_s
        try:
            size = request.ByteSize()
            if size > asked.most_bytes:
                raise PayloadTooLarge(
                    f"a message of {size} bytes; the limit is {asked.most_bytes}",
                    hint="Send fewer images at once.",
                )
            deadline = time.monotonic() + min(most_s, asked.allowed_s or most_s)
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + most_s):
                servicer = await self._ready()
                return await asked.answer(servicer, Call(parse_peer(context.peer()), deadline))
        except TimeoutError:
            return told(DeadlineExceeded(f"no answer within {most_s:g} s"))
        except Exception as error:
            return told(error)

    async def answer(
        self, kind: type[Reply], request: Message, context: RayContext, asked: Asked[Reply]
    ) -> Reply:
        """The answer, or an empty one beside the status that Ray's context is told."""
        found = await self.tried(request, context, asked)
        if isinstance(found, Status):
            _tell(context, found)
            return kind()
        return found

    def _inference(
        self,
        request: messages.ModelInferRequest,
        answer: Callable[[InferenceServicer, Call], Awaitable[Reply]],
    ) -> Asked[Reply]:
        return Asked(answer, self._settings.config().message_bytes, allowed_s(request))

    async def ModelInfer(  # noqa: N802
        self, request: messages.ModelInferRequest, grpc_context: RayContext
    ) -> messages.ModelInferResponse:
        """See `InferenceServicer.model_infer`."""
        asked = self._inference(request, lambda servicer, call: servicer.model_infer(request, call))
        return await self.answer(messages.ModelInferResponse, request, grpc_context, asked)

    async def ModelStreamInfer(  # noqa: N802
        self, request_stream: AsyncIterator[messages.ModelInferRequest], grpc_context: RayContext
    ) -> AsyncIterator[messages.ModelStreamInferResponse]:
        """One request after the other; an error is the reply to its request, and ends the stream
        where the client asks for that.
        """
        strict = (ENDS_WITH_AN_ERROR, "true") in grpc_context.invocation_metadata()
        async for request in request_stream:
            asked = self._inference(request, partial(_streamed, request))
            found = await self.tried(request, grpc_context, asked)
            if not isinstance(found, Status):
                yield found
            elif not strict:
                yield refuse_one(request, found)
            else:
                _tell(grpc_context, found)
                raise StreamEnded(found.details)

    async def __call__(self, request: object) -> Any:
        """501 to whoever asks Ray's HTTP port."""
        from starlette.responses import JSONResponse  # Ray brings it

        return JSONResponse({"error": _NO_REST}, HTTPStatus.NOT_IMPLEMENTED)

    async def ServerLive(  # noqa: N802
        self, request: messages.ServerLiveRequest, grpc_context: RayContext
    ) -> messages.ServerLiveResponse:
        """This replica answers."""
        return messages.ServerLiveResponse(live=True)

    ServerReady = _small(messages.ServerReadyResponse, InferenceServicer.server_ready)
    ServerMetadata = _small(messages.ServerMetadataResponse, InferenceServicer.server_metadata)
    ModelReady = _small(messages.ModelReadyResponse, InferenceServicer.model_ready)
    ModelMetadata = _small(messages.ModelMetadataResponse, InferenceServicer.model_metadata)
    ModelConfig = _small(messages.ModelConfigResponse, InferenceServicer.model_config)
    ModelStatistics = _small(messages.ModelStatisticsResponse, InferenceServicer.model_statistics)
    RepositoryIndex = _small(messages.RepositoryIndexResponse, InferenceServicer.repository_index)
    RepositoryModelLoad = _small(messages.RepositoryModelLoadResponse, InferenceServicer.model_load)
    RepositoryModelUnload = _small(
        messages.RepositoryModelUnloadResponse, InferenceServicer.model_unload
    )

    async def Check(  # noqa: N802
        self, request: health.HealthCheckRequest, grpc_context: RayContext
    ) -> health.HealthCheckResponse:
        """grpc.health.v1: the server, its service, and each task."""

        async def answer(servicer: InferenceServicer, call: Call) -> health.HealthCheckResponse:
            known = {"", "inference.GRPCInferenceService", *{one.task for one in self._handles}}
            if request.service not in known:
                raise UnknownTask(f"no service {request.service[:80]!r}")
            return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)

        asked = Asked(answer, _SMALL)
        return await self.answer(health.HealthCheckResponse, request, grpc_context, asked)


def _tell(context: RayContext, status: Status) -> None:
    context.set_code(status.code)
    context.set_details(status.details)
    context.set_trailing_metadata(list(status.trailing))


async def _streamed(
    request: messages.ModelInferRequest, servicer: InferenceServicer, call: Call
) -> messages.ModelStreamInferResponse:
    return await servicer.answer_one(request, call)


def allowed_s(request: messages.ModelInferRequest) -> float | None:
    """What the request's parameter `timeout` allows (microseconds, Triton's), seconds."""
    if _TIMEOUT not in request.parameters:
        return None
    found = request.parameters[_TIMEOUT]
    which = found.WhichOneof("parameter_choice")
    if which not in ("int64_param", "uint64_param"):
        return None
    micros = int(getattr(found, which))
    return micros * _MICRO if micros > 0 else None
