"""JSON bodies, and the one table from our errors to HTTP status codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from hawkvision.contract.errors import error_body
from hawkvision.errors import (
    CorruptImage,
    EngineError,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    StoreUnavailable,
    TargetUnreachable,
    Unauthorized,
    UnknownAnswer,
    UnknownApp,
    UnknownStream,
    UnknownTask,
    UnsupportedImage,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_JSON = {"Content-Type": "application/json"}

_STATUS: tuple[tuple[type[HawkVisionError], int], ...] = (
    (Unauthorized, 401),
    (UnknownTask, 404),
    (UnknownApp, 404),
    (UnknownStream, 404),
    (UnknownAnswer, 404),
    (PayloadTooLarge, 413),
    (UnsupportedImage, 415),
    (CorruptImage, 422),
    (TargetUnreachable, 422),
    (InvalidRequest, 400),
    (Overloaded, 503),
    (StoreUnavailable, 503),
    (EngineError, 500),
)


def status_of(error: HawkVisionError) -> int:
    """The HTTP status for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def json_reply(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(body), status=status, headers=_JSON)


def error_reply(error: HawkVisionError) -> web.Response:
    """`{"error": {"code", "message", "hint"}}` with the error's status."""
    reply = json_reply(error_body(error), status_of(error))
    if isinstance(error, Overloaded):
        reply.headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, Unauthorized):
        reply.headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, StoreUnavailable):
        reply.headers["Retry-After"] = "2"
    return reply


def plain_error(status: int, code: str, message: str, hint: str = "") -> web.Response:
    """An error that HTTP itself knows (404, 405, 408)."""
    return json_reply({"error": {"code": code, "message": message, "hint": hint}}, status)


def guarded(handler: Handler) -> Handler:
    """The handler with our errors put into words."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except HawkVisionError as error:
            return error_reply(error)
        except ConnectionError:
            return plain_error(400, "invalid_request", "the body broke off")

    return answer
