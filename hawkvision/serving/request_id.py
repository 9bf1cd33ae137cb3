"""A request's public name: in its answer's headers, in the log's lines, and on the way up.

It is what the client says in `X-Request-ID`, else the id of its trace, else made here; made only
once somebody asks for it, so that the usual request pays nothing. It is no secret and proves
nothing: a receipt (`request_id` in answers) is another thing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar, Token

from hawkvision.serving.tracing import PARENT

HEADER = "X-Request-ID"
METADATA = "x-request-id"
"""The same in gRPC's metadata."""

_SENT = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Of one request with these headers; in a mapping of plain strings names are in small letters.

    `trace` is the traceparent of a span that was made for the request, where there is one.
    """

    __slots__ = ("_headers", "_text", "trace")

    def __init__(self, headers: Mapping[str, str], trace: str | None = None) -> None:
        self._headers = headers
        self._text: str | None = None
        self.trace = trace

    @property
    def text(self) -> str:
        """The id: letters, digits, `.`, `_` and `-`, 64 at most."""
        if self._text is None:
            self._text = self._known() or secrets.token_hex(8)
        return self._text

    @property
    def shown(self) -> str | None:
        """The id, if there is one already or the request brought it; None of the usual request."""
        if self._text is None:
            self._text = self._known()
        return self._text

    def _known(self) -> str | None:
        sent = self._headers.get(METADATA)
        if sent is not None and _SENT.fullmatch(sent):
            return sent
        return self.trace_id

    @property
    def trace_id(self) -> str | None:
        """Of the trace that it is part of, 32 hexadecimal digits; None without one."""
        trace = self.trace or self._headers.get("traceparent")
        found = None if trace is None else PARENT.fullmatch(trace)
        return None if found is None else found[1]


_CURRENT: ContextVar[RequestId | None] = ContextVar("request_id", default=None)


def current() -> RequestId | None:
    """Of the request that is being answered, or that began what runs; None beside requests."""
    return _CURRENT.get()


def enter(named: RequestId) -> None:
    """The current task answers this request."""
    _CURRENT.set(named)


class About:
    """What is logged within it is of this request."""

    __slots__ = ("_named", "_token")

    def __init__(self, named: RequestId) -> None:
        self._named = named
        self._token: Token[RequestId | None] | None = None

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._named)

    def __exit__(self, *_error: object) -> None:
        assert self._token is not None
        _CURRENT.reset(self._token)
