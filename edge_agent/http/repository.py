"""`/v2/repository…`: which versions there are, and which shall serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from edge_agent.http.bodies import BodyReader
from edge_agent.http.replies import json_reply
from edge_agent.http.routes import Entrance, Route
from edge_agent.http.shapes import JSON, says
from edge_agent.shared import AtOnce
from hawkvision.contract.repository import ChangeAsked, IndexAsked
from hawkvision.contract.schema import Like
from hawkvision.errors import InvalidRequest
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.control import ModelControl, VersionState, VersionStatus

_AT_ONCE = 8
_INDEX = says(tuple[VersionStatus, ...], takes={JSON: IndexAsked}, needed=False)
_CHANGE = says(Like("Changed", ({},)), takes={JSON: ChangeAsked}, needed=False)
_DRAINING = "the agent is draining"


class RepositoryRoutes:
    """The model repository extension of the Open Inference Protocol over `control`."""

    def __init__(self, control: ModelControl, bodies: BodyReader, entrance: Entrance) -> None:
        self._control = control
        self._bodies = bodies
        self._entrance = entrance
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
        asked = await self._bodies.json(request, empty={})
        only = asked.get("ready") if isinstance(asked, dict) else "no object"
        if not (only is None or isinstance(only, bool)):
            raise InvalidRequest('the body is {"ready": true}, {"ready": false} or empty')
        rows = self._control.index(ready=bool(only))
        if self._entrance.draining:
            gone = VersionState.UNAVAILABLE
            rows = [] if only else [replace(one, state=gone, reason=_DRAINING) for one in rows]
        return json_reply([one.as_dict() for one in rows])

    async def load(self, request: web.Request) -> web.Response:
        """`POST /v2/repository/models/{task}/load`: 200 once the newest version serves."""
        return await self._change(request, self._control.load)

    async def unload(self, request: web.Request) -> web.Response:
        """`POST /v2/repository/models/{task}/unload`: 200; the task is unknown from then on."""
        return await self._change(request, self._control.unload)

    async def _change(
        self, request: web.Request, change: Callable[[str], Awaitable[None]]
    ) -> web.Response:
        """Parameters of the protocol that say what to load from where are refused, not ignored."""
        asked = await self._bodies.json(request, empty={})
        if not isinstance(asked, dict):
            raise InvalidRequest("the body is a JSON object, or empty")
        parameters = asked.get("parameters") or {}
        if not isinstance(parameters, dict) or set(parameters) - {"unload_dependents"}:
            raise InvalidRequest(
                "a task is loaded from the model repository, without parameters",
                hint="Put the version there as a folder.",
            )
        with self._changes:
            await change(request.match_info["task"])
        return web.Response(status=200, content_type="application/json", body=b"{}")
