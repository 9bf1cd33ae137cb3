"""`/v2/repository…`: which versions there are, and which shall serve."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hawkvision.errors import InvalidRequest
from hawkvision.json_schema import Like
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.plain import plain
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.control import VersionStatus
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.calls import ANYBODY, Callers, model_named
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import JSON, says
from hawkvision.serving.shared import AtOnce

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class IndexAsked:
    """Which versions to list: every one, or with `ready` those that answer."""

    ready: bool | None = None


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """Load or unload: there are no `parameters` that change anything."""

    parameters: Mapping[str, Any] | None = field(default_factory=dict)


_INDEX = says(tuple[VersionStatus, ...], takes={JSON: IndexAsked}, needed=False)
_CHANGE = says(Like("Changed", ({},)), takes={JSON: ChangeAsked}, needed=False)


class RepositoryRoutes:
    """The model repository extension of the Open Inference Protocol, answered by its service."""

    def __init__(
        self, service: InferenceService, bodies: BodyReader, callers: Callers = ANYBODY
    ) -> None:
        self._callers = callers
        self._service = service
        self._bodies = bodies
        self._changes = AtOnce(_AT_ONCE, "changes of what is served")

    def table(self) -> list[Route]:
        """The routes."""
        models = "/v2/repository/models/{task}"
        return [
            Route("POST", "/v2/repository/index", self.index, Scope.READ, _INDEX),
            Route("POST", f"{models}/load", self.load, Scope.MODELS, _CHANGE, "models.loaded"),
            Route(
                "POST", f"{models}/unload", self.unload, Scope.MODELS, _CHANGE, "models.unloaded"
            ),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """`POST /v2/repository/index`: every version; `{"ready": true}` those that answer."""
        call = self._callers.call(request, time.monotonic())
        asked = await self._bodies.json(request, empty={})
        only = asked.get("ready") if isinstance(asked, dict) else "no object"
        if not (only is None or isinstance(only, bool)):
            raise InvalidRequest('the body is {"ready": true}, {"ready": false} or empty')
        wanted = messages.RepositoryIndexRequest(ready=bool(only))
        return json_reply(plain(await self._service.repository_index(wanted, call))["models"])

    async def load(self, request: web.Request) -> web.Response:
        """`POST /v2/repository/models/{task}/load`: 200 once the newest version serves."""
        asked = messages.RepositoryModelLoadRequest(model_name=model_named(request).name)
        return await self._change(request, lambda call: self._service.model_load(asked, call))

    async def unload(self, request: web.Request) -> web.Response:
        """`POST /v2/repository/models/{task}/unload`: 200; the task is unknown from then on."""
        asked = messages.RepositoryModelUnloadRequest(model_name=model_named(request).name)
        return await self._change(request, lambda call: self._service.model_unload(asked, call))

    async def _change(
        self, request: web.Request, change: Callable[[Call], Awaitable[Any]]
    ) -> web.Response:
        """Parameters of the protocol that say what to load from where are refused, not ignored."""
        call = self._callers.call(request, time.monotonic())
        asked = await self._bodies.json(request, empty={})
        if not isinstance(asked, dict):
            raise InvalidRequest("the body is a JSON object, or empty")
        parameters = asked.get("parameters")
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict) or set(parameters) - {"unload_dependents"}:
            raise InvalidRequest(
                "a task is loaded from the model repository, without parameters",
                hint="Put the version there as a folder.",
            )
        with self._changes:
            await change(call)
        return web.Response(status=200, content_type="application/json", body=b"{}")
