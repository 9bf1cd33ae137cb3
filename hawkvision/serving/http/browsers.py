"""What browsers are told: how to treat answers, and whose pages may ask (CORS, Fetch standard)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web

from hawkvision.errors import Forbidden
from hawkvision.oip.rest import LENGTH
from hawkvision.serving.http.replies import SAFE, plain_error
from hawkvision.serving.request_id import HEADER

NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
"""The content security policy of an answer that is no page."""

_MAY_SEND = ", ".join(
    ("Authorization", "Content-Type", "X-API-Key", LENGTH, "Last-Event-ID", "traceparent", HEADER)
)
_MAY_READ = ", ".join(("Retry-After", "Location", "WWW-Authenticate", LENGTH, HEADER))
_REMEMBERED_S = "600"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origins:
    """The origins of pages that may ask; none: no page of elsewhere may, as browsers see to."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._allowed)

    async def mark(self, request: web.Request, reply: web.StreamResponse) -> None:
        """Let the page that asked read the answer, if it may; a signal of aiohttp."""
        origin = request.headers.get("Origin")
        reply.headers["Vary"] = "Origin"
        if origin in self._allowed:
            reply.headers["Access-Control-Allow-Origin"] = origin
            reply.headers["Access-Control-Expose-Headers"] = _MAY_READ

    def preflight(self, allowed: Iterable[str]) -> Handler:
        """Answers OPTIONS of a path with these methods: 204 to pages that may ask, else 403."""
        methods = ", ".join(allowed)

        async def answer(request: web.Request) -> web.Response:
            if request.headers.get("Origin") not in self._allowed:
                return plain_error(
                    *(403, "forbidden", "pages of this origin may not ask"),
                    "The operator allows origins with --cors-origin.",
                    path=request.path,
                )
            return web.Response(
                status=204,
                headers={
                    **SAFE,
                    "Access-Control-Allow-Methods": methods,
                    "Access-Control-Allow-Headers": _MAY_SEND,
                    "Access-Control-Max-Age": _REMEMBERED_S,
                },
            )

        return answer

    def check(self, request: web.Request) -> None:
        """Raise Forbidden for a change that a page of elsewhere sends: browsers send many without
        asking first, and anybody's page can reach an agent on its reader's machine."""
        origin = request.headers.get("Origin")
        if origin is None or origin in self._allowed or _host_of(origin) == request.host:
            return
        raise Forbidden(
            "pages of this origin may change nothing here",
            hint="The operator allows origins with --cors-origin.",
        )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
