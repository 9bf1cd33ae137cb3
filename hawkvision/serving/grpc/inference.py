"""`inference.GRPCInferenceService` over whatever answers: what each method accepts and returns.

Nothing here knows of a transport: a method takes a message and a `Call`, and raises an error of
ours. `methods` is the table from which a door makes handlers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from google.protobuf.json_format import ParseDict

from hawkvision import __version__
from hawkvision.errors import InvalidRequest, NotSupported, UnknownTask
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.description import ModelDescription
from hawkvision.oip.messages import InferReply, InferRequest
from hawkvision.oip.protobuf import parse_request, write_reply
from hawkvision.oip.structure import STRUCTURE_BYTES, check_structure
from hawkvision.serving.control import ModelControl, VersionState
from hawkvision.serving.grpc.entrance import Call, Method, check_small
from hawkvision.serving.grpc.status import Status
from hawkvision.serving.grpc.streams import StreamMethod

Answers = Callable[[InferRequest, Call], Awaitable[InferReply]]
"""Answers the images of one request, all or none. Raises HawkVisionError.

Whoever calls it keeps nothing of the request, so that images are held once while they wait.
"""

SERVICE = "inference.GRPCInferenceService"
EXTENSIONS = ("parameters", "statistics", "model_repository", "model_configuration")
"""Names as Triton's `ServerMetadata` has them."""

_FINAL = "triton_final_response"
"""Reply parameter of streams: this is the last response to its request, as each of ours is."""


def check_infer(raw: bytes) -> None:
    """Raise InvalidRequest for a message whose structure alone is too large."""
    check_structure(raw, STRUCTURE_BYTES)


class InferenceService(ABC):
    """The methods that need no model, and the outlines of those that do.

    `name` is the server's. While `draining`, nothing is ready. `control` is behind the methods of
    the model repository.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.draining = False

    @property
    @abstractmethod
    def control(self) -> ModelControl:
        """The models that there are, to be listed, loaded and unloaded."""

    @abstractmethod
    def describe(self, name: str, version: str) -> ModelDescription:
        """A model that serves, any version where none is asked for. Raises UnknownTask."""

    @abstractmethod
    def statistics_of(self, name: str, version: str) -> dict[str, Any]:
        """One entry of `model_stats`. Raises UnknownTask."""

    @abstractmethod
    def serving(self) -> Iterable[str]:
        """The names of the models that serve."""

    @abstractmethod
    def begin(self, name: str, version: str) -> Answers:
        """What answers a request for a model that serves now; who holds it holds the model.

        Raises UnknownTask.
        """

    async def model_infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """The images of one request, all or none answered. Raises HawkVisionError."""
        answers = self.begin(request.model_name, request.model_version)
        asked = parse_request(request)
        del request
        wanted = asked.outputs
        answer = answers(asked, call)
        del asked  # images are held once, not twice, while they wait
        return write_reply(await answer, wanted)

    @property
    def able(self) -> bool:
        """Whether anybody is there to do the work."""
        return True

    def check_caller(self, call: Call) -> None:
        """Raise Unauthorized unless the caller may load and unload models. Anybody may, here."""
        return

    def check_room(self, call: Call) -> None:
        """Raise Overloaded for an inference that has no place, before its message is received."""
        return

    def methods(self) -> dict[str, Method[Any]]:
        """Those with one request and one reply, by name."""
        small: dict[str, tuple[type[Any], Callable[[Any, Call], Awaitable[Any]]]] = {
            "ServerLive": (messages.ServerLiveRequest, self.server_live),
            "ServerReady": (messages.ServerReadyRequest, self.server_ready),
            "ModelReady": (messages.ModelReadyRequest, self.model_ready),
            "ServerMetadata": (messages.ServerMetadataRequest, self.server_metadata),
            "ModelMetadata": (messages.ModelMetadataRequest, self.model_metadata),
            "ModelConfig": (messages.ModelConfigRequest, self.model_config),
            "ModelStatistics": (messages.ModelStatisticsRequest, self.model_statistics),
            "RepositoryIndex": (messages.RepositoryIndexRequest, self.repository_index),
            "RepositoryModelLoad": (messages.RepositoryModelLoadRequest, self.model_load),
            "RepositoryModelUnload": (messages.RepositoryModelUnloadRequest, self.model_unload),
        }
        table: dict[str, Method[Any]] = {
            name: Method(kind, answer, check_small) for name, (kind, answer) in small.items()
        }
        table["ModelInfer"] = Method(
            messages.ModelInferRequest, self.model_infer, check_infer, self.check_room
        )
        return table

    def streams(self) -> dict[str, StreamMethod]:
        """Those with many requests and a reply to each, by name."""
        return {
            "ModelStreamInfer": StreamMethod(
                messages.ModelInferRequest, self.answer_one, refuse_one, check_infer
            )
        }

    async def server_live(
        self, request: messages.ServerLiveRequest, call: Call
    ) -> messages.ServerLiveResponse:
        """The process answers."""
        return messages.ServerLiveResponse(live=True)

    async def server_ready(
        self, request: messages.ServerReadyRequest, call: Call
    ) -> messages.ServerReadyResponse:
        """Whether new work is welcome: not while draining."""
        return messages.ServerReadyResponse(ready=self.able and not self.draining)

    async def model_ready(
        self, request: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """Whether this model and version serves; an unknown one is not ready."""
        try:
            self.describe(request.name, request.version)
        except UnknownTask:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=not self.draining)

    async def server_metadata(
        self, request: messages.ServerMetadataRequest, call: Call
    ) -> messages.ServerMetadataResponse:
        """Name and version of the server, and the extensions that it speaks."""
        return messages.ServerMetadataResponse(
            name=self.name, version=__version__, extensions=EXTENSIONS
        )

    async def model_metadata(
        self, request: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """Tensors of a model. Raises UnknownTask."""
        found = self.describe(request.name, request.version).metadata()
        return ParseDict(found, messages.ModelMetadataResponse())

    async def model_config(
        self, request: messages.ModelConfigRequest, call: Call
    ) -> messages.ModelConfigResponse:
        """A model's configuration, as Triton words it. Raises UnknownTask."""
        found = self.describe(request.name, request.version).configuration()
        return ParseDict({"config": found}, messages.ModelConfigResponse())

    async def model_statistics(
        self, request: messages.ModelStatisticsRequest, call: Call
    ) -> messages.ModelStatisticsResponse:
        """Counts and times since the start, of all where none is named. Raises UnknownTask."""
        names = [request.name] if request.name else sorted(self.serving())
        found = [self.statistics_of(name, request.version) for name in names]
        return ParseDict({"model_stats": found}, messages.ModelStatisticsResponse())

    async def repository_index(
        self, request: messages.RepositoryIndexRequest, call: Call
    ) -> messages.RepositoryIndexResponse:
        """Every version that is known, or that is ready. Raises NotSupported."""
        _check_repository(request.repository_name)
        rows = self.control.index(ready=request.ready)
        if self.draining:
            gone, why = VersionState.UNAVAILABLE, "the service is draining"
            rows = [] if request.ready else [replace(r, state=gone, reason=why) for r in rows]
        found = {"models": [row.as_dict() for row in rows]}
        return ParseDict(found, messages.RepositoryIndexResponse())

    async def model_load(
        self, request: messages.RepositoryModelLoadRequest, call: Call
    ) -> messages.RepositoryModelLoadResponse:
        """Load a model's newest version. Raises as `ModelControl.load`, and Unauthorized."""
        self._check_change(request, call)
        await self.control.load(request.model_name)
        return messages.RepositoryModelLoadResponse()

    async def model_unload(
        self, request: messages.RepositoryModelUnloadRequest, call: Call
    ) -> messages.RepositoryModelUnloadResponse:
        """Serve a model no more. Raises as `ModelControl.unload`, and Unauthorized."""
        self._check_change(request, call)
        await self.control.unload(request.model_name)
        return messages.RepositoryModelUnloadResponse()

    def _check_change(self, request: Any, call: Call) -> None:
        self.check_caller(call)
        _check_repository(request.repository_name)
        unknown = sorted(set(request.parameters) - {"unload_dependents"})
        if unknown:
            raise NotSupported(
                f"parameter {unknown[0][:40]!r} is not taken",
                hint="Models come from the repository, as they are configured there.",
            )
        if not request.model_name:
            raise InvalidRequest("no model is named", hint="Set model_name.")

    async def answer_one(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelStreamInferResponse:
        """The reply to one request of a stream. Raises as `model_infer`."""
        reply = await self.model_infer(request, call)
        reply.parameters[_FINAL].bool_param = True
        return messages.ModelStreamInferResponse(infer_response=reply)


def refuse_one(
    request: messages.ModelInferRequest | None, status: Status
) -> messages.ModelStreamInferResponse:
    """What a stream says of a request that has no answer; it names the request where it can."""
    said = messages.ModelStreamInferResponse(error_message=status.details)
    said.infer_response.id = "" if request is None else request.id
    said.infer_response.parameters[_FINAL].bool_param = True
    return said


def _check_repository(name: str) -> None:
    if name:
        raise NotSupported(
            f"there is one repository, none of the name {name[:40]!r}", hint="Leave the name out."
        )
