"""A request to an agent as data, and its reply: what both clients send. Knows no sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson

from hawkvision.contract.errors import parse_error
from hawkvision.contract.fields import unexpected

DEFAULT_URL = "http://127.0.0.1:8080"
JSON = "application/json"

T = TypeVar("T")


def base_url(url: str) -> str:
    """The agent's URL without a slash at the end; `HOST:PORT` alone means HTTP."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the HTTP status, the body, and the header `Retry-After`."""

    status: int
    body: bytes
    retry_after: str | None = None

    def json(self) -> dict[str, Any]:
        """The JSON object. Raises the error that it carries, or UnexpectedReply."""
        try:
            parsed = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise unexpected(f"status {self.status} without JSON") from error
        if not isinstance(parsed, dict):
            raise unexpected(f"status {self.status} without a JSON object")
        if self.status >= 400:
            raise parse_error(parsed.get("error", f"status {self.status}"), self.retry_after)
        return parsed

    def nothing(self) -> None:
        """No body is wanted (204). Raises the error that it carries."""
        if self.status >= 400:
            self.json()


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One thing that an agent can be asked.

    `path` is quoted and holds the query; `read` makes the result of a reply, or raises the error
    that it carries.
    """

    method: str
    path: str
    read: Callable[[Reply], T]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def path_of(*parts: str, **query: float | str | None) -> str:
    """A path of parts that may hold anything, with a query of what is not None."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{given}" if given else path


def json_headers(key: str | None = None) -> dict[str, str]:
    """The headers of a JSON body, with an app's key where there is one."""
    return {"Content-Type": JSON, **bearer(key)}


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries an app's key."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}
