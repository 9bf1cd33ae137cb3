"""The table of routes, and what every request passes: keys, counting, errors put into words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import web

from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.guard import DENIALS, Guard, current_caller
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.browsers import Origins
from hawkvision.serving.http.connection import Connection
from hawkvision.serving.http.replies import SAFE, fault, plain_error, refusal, shutting_down
from hawkvision.serving.http.shapes import Shape
from hawkvision.serving.request_id import HEADER, RequestId, current, enter

_log = logging.getLogger(__name__)


_SAFE = tuple(SAFE.items())
_OF_NO_PAGE = frozenset({Scope.FEEDBACK, Scope.TARGETS, Scope.STREAMS, Scope.MODELS})
"""What pages of elsewhere may change only where they are allowed to ask."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the table. A handler raises HawkVisionError for what it refuses.

    With keys on, `scope` is what a key needs, and on a path that names an app also that app's.
    `shape` is what it takes and answers. `changes` names what a call changes, for the audit log;
    None for what changes nothing.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    shape: Shape
    changes: str | None = None


class Cancellable(Protocol):
    """What is in flight: a task, say."""

    def cancel(self) -> object:
        """Give it up soon."""
        ...


class Entrance:
    """What every request passes on its way to a handler.

    `draining` closes connections after their answers; `idle` is set while nothing is in flight;
    after `stop` whatever is in flight, and whatever comes, is told that the service shuts down.
    `refused` is told the code of every error.
    """

    def __init__(
        self, guard: Guard, refused: Callable[[str], None], origins: Iterable[str] = ()
    ) -> None:
        self.origins = Origins(origins)
        self._guard = guard
        self._count = refused
        self._in_flight: set[Cancellable] = set()
        self._stopped = False
        self.draining = False
        self.idle = asyncio.Event()
        self.idle.set()

    def admit(self, route: Route) -> Handler:
        """The route's handler behind its scope; whatever it raises becomes an answer."""
        handler, what = route.handler, f"{route.method} {route.path}"
        if route.changes is not None:
            handler = self._noted(handler, route.changes)
        if route.method != "GET" and route.scope in _OF_NO_PAGE:
            handler = self._from_here(handler)
        if self._guard.on and route.scope is not Scope.PUBLIC:
            handler = self._with_key(handler, route)

        async def answer(request: web.Request) -> web.StreamResponse:
            named = RequestId(request.headers)
            enter(named)
            task = self._begin(request)
            try:
                reply = await handler(request)
            except asyncio.CancelledError:
                if not self._stopped:
                    raise
                task.uncancel()
                reply = self._refused(shutting_down(), what, request)
            except (ConnectionError, web.HTTPException):
                raise
            except HawkVisionError as error:
                reply = self._refused(error, what, request)
            except Exception as error:
                reply = self.refused(error, what, route.path)
            finally:
                self.leave(task)
            if self.draining:
                reply.force_close()
            if not reply.prepared:
                for name, value in _SAFE:
                    reply.headers.setdefault(name, value)
                name_it(reply, named)
            return reply

        return answer

    def _with_key(self, handler: Handler, route: Route) -> Handler:
        guard, what = self._guard, f"{route.method} {route.path}"

        async def check(request: web.Request) -> web.StreamResponse:
            caller = guard.admit(request.headers, route.scope, peer_of_request(request), what)
            guard.enter(caller)
            try:
                app = request.match_info.get("app")
                if app is not None:
                    caller.check(app)
                return await handler(request)
            except DENIALS as error:
                guard.denied(error, caller.key, peer_of_request(request), what)
                raise

        return check

    def _from_here(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            self.origins.check(request)
            return await handler(request)

        return check

    def _noted(self, handler: Handler, event: str) -> Handler:
        """Its calls, and what became of them, are noted in the audit log."""
        audit = self._guard.audit

        async def noted(request: web.Request) -> web.StreamResponse:
            result = "failed"
            try:
                reply = await handler(request)
                result = "done"
                return reply
            except HawkVisionError as error:
                result = error.code
                raise
            finally:
                named = {one: request.match_info.get(one) for one in ("app", "task")}
                audit.note(
                    event,
                    key=current_caller().key,
                    peer=peer_of_request(request),
                    result=result,
                    **{name: value for name, value in named.items() if value is not None},
                )

        return noted

    def _refused(self, error: HawkVisionError, what: str, request: web.Request) -> web.Response:
        reply = self.refused(error, what, request.path)
        if not request.content.is_eof():
            reply.force_close()  # nobody waits for the rest of the body
        return reply

    def refused(self, error: BaseException, what: str, path: str) -> web.Response:
        """The answer that an error is, counted, with its request's id; what is a fault is logged.

        `what` is method and route: a path may hold what no log may.
        """
        if isinstance(error, HawkVisionError):
            self._count(error.code)
            reply = refusal(error, path)
            if reply.status == 500:
                _log.error("%s failed: %s: %s", what, error.code, error.message)
            else:
                _log.debug("%s is refused: %s", what, error.code)
        else:
            _log.error("unexpected error in %s", what, exc_info=error)
            self._count("internal")
            reply = fault(path)
        if (named := current()) is not None:
            reply.headers[HEADER] = named.text
        return reply

    def stop(self) -> None:
        """Refuse what is in flight, which is `idle` a moment later, and all that comes."""
        self.draining = self._stopped = True
        for one in list(self._in_flight):
            one.cancel()

    def _begin(self, request: web.Request) -> asyncio.Task[Any]:
        if isinstance(request.protocol, Connection):
            request.protocol.answering(request)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.enter(task)
        if self._stopped:
            task.cancel()
        return task

    def enter(self, one: Cancellable) -> None:
        """Something is in flight, until it leaves."""
        self._in_flight.add(one)
        if len(self._in_flight) == 1:
            self.idle.clear()

    def leave(self, one: Cancellable) -> None:
        """See `enter`."""
        self._in_flight.discard(one)
        if not self._in_flight:
            self.idle.set()


def name_it(reply: web.StreamResponse, named: RequestId) -> None:
    """An answer says its request's id where there is one already, or the client sent one."""
    shown = named.shown
    if shown is not None:
        reply.headers[HEADER] = shown


def peer_of_request(request: web.Request) -> str:
    """The address that a request came from."""
    return request.remote or "unknown"


def application(routes: Iterable[Route], entrance: Entrance, hint: str = "") -> web.Application:
    """The aiohttp application; every GET also answers HEAD. `hint` is for who has no such path.

    Fallback routes, not middlewares, keep the hot path short.
    """
    app = web.Application()
    methods: dict[str, list[str]] = {}
    for route in routes:
        handler = entrance.admit(route)
        names = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        for name in names:
            app.router.add_route(name, route.path, handler, expect_handler=_expected)
        methods.setdefault(route.path, []).extend(names)
    if entrance.origins.any:
        app.on_response_prepare.append(entrance.origins.mark)
    for path, allowed in methods.items():
        if entrance.origins.any:
            options = entrance.origins.preflight(allowed)
            app.router.add_route("OPTIONS", path, options, expect_handler=_expected)
        refuse = _wrong_method(", ".join(allowed))
        app.router.add_route("*", path, _named(refuse), expect_handler=_expected)
    anywhere = _Anywhere("/")
    anywhere.add_route("*", _named(_no_route(hint)), expect_handler=_expected)
    app.router.register_resource(anywhere)
    return app


class _Anywhere(web.PlainResource):
    """Takes what no other route does, also what is no path at all (`OPTIONS *`, CONNECT)."""

    async def resolve(
        self, request: web.Request
    ) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Always its one route; see aiohttp."""
        return web.UrlMappingMatchInfo({}, next(iter(self))), set()


async def _expected(request: web.Request) -> None:
    """Let a client go on that waits for leave to; other expectations are passed over.

    aiohttp's own handler fails where the header is not UTF-8.
    """
    if request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _named(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = await handler(request)
        name_it(reply, RequestId(request.headers))
        return reply

    return answer


def _wrong_method(allowed: str) -> Handler:
    async def refuse(request: web.Request) -> web.Response:
        reply = plain_error(
            405,
            "method_not_allowed",
            f"{request.method} is not allowed here",
            f"Use {allowed}.",
            path=request.path,
        )
        reply.headers["Allow"] = allowed
        return reply

    return refuse


def _no_route(hint: str) -> Handler:
    async def refuse(request: web.Request) -> web.Response:
        said = f"no such path: {request.path[:120]!r}"
        return plain_error(404, "not_found", said, hint, path=request.path)

    return refuse
