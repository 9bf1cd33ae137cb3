"""JSON bodies, and the one table from our errors to HTTP status codes."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE

from hawkvision.errors import (
    BodyTimeout,
    CorruptImage,
    DeadlineExceeded,
    EngineError,
    Forbidden,
    HawkVisionError,
    InvalidRequest,
    LimitReached,
    NotSupported,
    Overloaded,
    PayloadTooLarge,
    ShuttingDown,
    StoreUnavailable,
    TargetUnreachable,
    TooManyConnections,
    Unauthorized,
    UnknownAnswer,
    UnknownApp,
    UnknownStream,
    UnknownTask,
    UnsupportedCoding,
    UnsupportedImage,
    UpstreamUnavailable,
)
from hawkvision.serving.request_id import HEADER

SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Of every answer: its type is as it says, and nobody keeps it."""

JSON_HEADERS = {"Content-Type": "application/json", **SAFE}
_SAFE = "".join(f"{name}: {value}\r\n" for name, value in SAFE.items())
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{_SAFE}Content-Length: "
_CLOSE = "Connection: close\r\n"

_STATUS: tuple[tuple[type[HawkVisionError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (UnknownTask, 404),
    (UnknownApp, 404),
    (UnknownStream, 404),
    (UnknownAnswer, 404),
    (BodyTimeout, 408),
    (PayloadTooLarge, 413),
    (UnsupportedCoding, 415),
    (UnsupportedImage, 415),
    (CorruptImage, 422),
    (TargetUnreachable, 422),
    (NotSupported, 501),
    (InvalidRequest, 400),
    (LimitReached, 429),
    (Overloaded, 503),
    (DeadlineExceeded, 503),
    (StoreUnavailable, 503),
    (UpstreamUnavailable, 503),
    (EngineError, 500),
)


_NOT_WHAT_IT_TAKES = (UnsupportedImage, CorruptImage, TargetUnreachable)
"""Invalid arguments for clients of the Open Inference Protocol, as of any of its models."""


def status_of(error: HawkVisionError) -> int:
    """The HTTP status for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def json_reply(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(body), status=status, headers=JSON_HEADERS)


def encoded(body: Any) -> bytes:
    """A JSON body that several replies share."""
    return orjson.dumps(body)


def encoded_reply(body: bytes) -> web.Response:
    """An answer whose JSON body is made already."""
    return web.Response(body=body, headers=JSON_HEADERS)


@lru_cache(maxsize=1)
def _signed(second: int) -> str:
    """The end of a head, as aiohttp writes it: when, and by what server."""
    return f"\r\nDate: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n"


def whole_json(body: bytes, *, close: bool, named: str | None = None) -> bytes:
    """An answer of JSON as it goes over the line, HTTP/1.1; `named` is its request's id."""
    end = _signed(int(time.time()))
    name = "" if named is None else f"{HEADER}: {named}\r\n"
    head = f"{_HEAD}{len(body)}{end}{_CLOSE if close else ''}{name}\r\n"
    return head.encode("ascii") + body


def whole_reply(reply: web.Response, *, close: bool) -> bytes:
    """Any answer with its headers as it goes over the line, HTTP/1.1."""
    body = reply.body or b""
    assert isinstance(body, bytes)
    fields = [f"{name}: {value}\r\n" for name, value in reply.headers.items()]
    fields.append(f"Content-Length: {len(body)}")
    end = _signed(int(time.time()))
    head = f"HTTP/1.1 {reply.status} {reply.reason}\r\n{''.join(fields)}{end}"
    return f"{head}{_CLOSE if close else ''}\r\n".encode() + body


def error_reply(error: HawkVisionError) -> web.Response:
    """`{"error": {"code", "message", "hint"}}` with the error's status."""
    return _with_headers(json_reply({"error": error.as_dict()}, status_of(error)), error)


def refusal(error: HawkVisionError, path: str) -> web.Response:
    """An error as the door says it: clients of the Open Inference Protocol get one text."""
    if not speaks_oip(path):
        return error_reply(error)
    status = 400 if isinstance(error, _NOT_WHAT_IT_TAKES) else status_of(error)
    return _with_headers(_one_text(error.code, error.message, error.hint, status), error)


def speaks_oip(path: str) -> bool:
    """Whether a path is of the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def _one_text(code: str, message: str, hint: str, status: int) -> web.Response:
    said = f"{code}: {message}"
    return json_reply({"error": f"{said}. {hint}" if hint else said}, status)


def _with_headers(reply: web.Response, error: HawkVisionError) -> web.Response:
    if isinstance(error, Overloaded):
        reply.headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, Unauthorized):
        reply.headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, DeadlineExceeded | UpstreamUnavailable):
        reply.headers["Retry-After"] = "1"
    elif isinstance(error, StoreUnavailable):
        reply.headers["Retry-After"] = "2"
    return reply


def fault(path: str = "") -> web.Response:
    """The answer where something failed that nobody expected."""
    return plain_error(500, "internal", "internal error", "See the service's log.", path=path)


def plain_error(
    status: int, code: str, message: str, hint: str = "", *, path: str = ""
) -> web.Response:
    """An error that HTTP itself knows (404, 405), or one of ours (500)."""
    if speaks_oip(path):
        return _one_text(code, message, hint, status)
    return json_reply({"error": {"code": code, "message": message, "hint": hint}}, status)


def raw_error(error: HawkVisionError) -> bytes:
    """An error as a whole HTTP/1.1 reply, for whom no request stands; the connection then ends."""
    status = HTTPStatus(status_of(error))
    body = orjson.dumps({"error": error.as_dict()})
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {value}" for name, value in JSON_HEADERS.items()),
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if isinstance(error, Overloaded):
        head.append(f"Retry-After: {error.retry_after_s}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def shutting_down() -> ShuttingDown:
    """What is left to say when the service ends."""
    return ShuttingDown("the service shuts down", hint="Ask another one, or retry later.")


def too_many(text: str) -> TooManyConnections:
    """What a connection is told for which there is no room."""
    return TooManyConnections(text, hint="Close connections that are idle, or retry later.")
