"""`GET /openapi.json`: the description of all routes (OpenAPI 3.1), made of their table.

Nothing is described here: paths, scopes, types and words come from the routes, the contract's types
and the docstrings of the handlers.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

import hawkvision
from hawkvision.contract.errors import error_body
from hawkvision.errors import HawkVisionError, TargetUnreachable
from hawkvision.json_schema import Like, Schemas
from hawkvision.serving.access.keyfile import APP
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.replies import JSON_HEADERS, refusal, speaks_oip
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import JSON, Shape, says

PATH = "/openapi.json"
_EVENTS = "text/event-stream"
"""Until OpenAPI 3.2 there is no word for a stream's items: a schema would be of the whole."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_ERROR = Like(
    "Error",
    (
        error_body(HawkVisionError("words", hint="what to do")),
        error_body(TargetUnreachable("words", highest=0.9, hint="what to do")),
    ),
)
_OIP_ERROR = Like("InferenceError", (orjson.loads(str(refusal(HawkVisionError("x"), "/v2").text)),))
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Description:
    """One route more; it describes the others, once they are known, and itself."""

    def __init__(self, *, keys: bool) -> None:
        self._keys = keys
        self._text = b""

    def route(self) -> Route:
        """The route."""
        return Route("GET", PATH, self.describe, Scope.PUBLIC, says(Like("OpenAPI", ({},))))

    def of(self, routes: Sequence[Route]) -> None:
        """Describe these from now on."""
        self._text = orjson.dumps(describe(routes, keys=self._keys))

    async def describe(self, _request: web.Request) -> web.Response:
        """`GET /openapi.json`: this description."""
        return web.Response(body=self._text, headers=JSON_HEADERS)


def describe(routes: Sequence[Route], *, keys: bool) -> dict[str, Any]:
    """The document; with `keys` on, which scope each operation takes."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, keys)
    return {
        "openapi": "3.1.0",
        "info": {"title": "HawkVision edge agent", "version": hawkvision.__version__},
        "paths": paths,
        "components": {
            "schemas": schemas.named,
            **({"securitySchemes": _SECURITY} if keys else {}),
        },
    }


def _operation(route: Route, schemas: Schemas, keys: bool) -> dict[str, Any]:
    shape = route.shape
    found: dict[str, Any] = {
        "operationId": _id(route),
        "summary": _summary(route),
        "x-scope": str(route.scope),
        "parameters": [*_of_path(route.path), *_of_query(shape, schemas)],
        "responses": {
            str(shape.status): _body("As asked.", shape.says, schemas),
            "default": _body("Refused.", {JSON: _refusal_of(route.path)}, schemas),
        },
    }
    if shape.takes:
        found["requestBody"] = {"required": shape.needed, **_content(shape.takes, schemas)}
    if keys and route.scope is not Scope.PUBLIC:
        found["security"] = [{name: [str(route.scope)]} for name in _SECURITY]
    return found


def _refusal_of(path: str) -> Like:
    return _OIP_ERROR if speaks_oip(path) else _ERROR


def _id(route: Route) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])


def _summary(route: Route) -> str:
    """The handler's own words: its docstring without the route that it begins with."""
    told = (inspect.getdoc(route.handler) or "").partition("\n\n")[0]
    words = " ".join(told.split())
    return words.partition("`: ")[2].rstrip(".") or f"{route.method} {route.path}"


def _of_path(path: str) -> list[dict[str, Any]]:
    patterns = {"app": {"pattern": f"^{APP.pattern}$"}}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, **patterns.get(name, {})},
        }
        for name in _PARAMETER.findall(path)
    ]


def _of_query(shape: Shape, schemas: Schemas) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": _sent(schemas.of(kind))}
        for name, kind in shape.query.items()
    ]


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out in place of null."""
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return schema
    left = [one for one in kinds if one != "null"]
    return {**schema, "type": left if len(left) > 1 else left[0]}


def _body(said: str, by_media: Any, schemas: Schemas) -> dict[str, Any]:
    return {"description": said, **(_content(by_media, schemas) if by_media else {})}


def _content(by_media: Any, schemas: Schemas) -> dict[str, Any]:
    return {
        "content": {
            media: {} if media == _EVENTS else {"schema": schemas.of(kind)}
            for media, kind in by_media.items()
        }
    }
