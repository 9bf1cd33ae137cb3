"""The HTTP routes: each parses, calls one function of the core, and answers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from edge_agent.classify import Classifier, Request
from edge_agent.http.bodies import BodyReader, BodyTimeout
from edge_agent.http.delivered import AccuracyRoutes
from edge_agent.http.describe import describe_model, describe_server, describe_task
from edge_agent.http.parameters import parse_link_ms, parse_query
from edge_agent.http.replies import Handler, error_reply, json_reply, plain_error
from edge_agent.http.streams import StreamRoutes
from edge_agent.metrics import AgentMetrics
from hawkvision.contract.results import Result, results_body
from hawkvision.contract.task import tasks_body
from hawkvision.errors import HawkVisionError
from hawkvision.summary import summarise_task

_log = logging.getLogger(__name__)


class Routes:
    """The agent's API. `draining` makes readiness false and closes connections after answers."""

    def __init__(
        self,
        classifier: Classifier,
        bodies: BodyReader,
        metrics: AgentMetrics,
        accuracy: AccuracyRoutes,
        streams: StreamRoutes,
        delta: float,
    ) -> None:
        self._accuracy = accuracy
        self._streams = streams
        self._delta = delta
        self._classifier = classifier
        self._bodies = bodies
        self._metrics = metrics
        self.draining = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._in_flight = 0

    def application(self, max_body: int) -> web.Application:
        """The aiohttp application. Fallback routes, not middlewares, keep the hot path short."""
        app = web.Application(client_max_size=max_body)
        served: list[tuple[str, str, Handler]] = [
            ("POST", "/v1/classify", self.classify),
            ("GET", "/v1/tasks", self.tasks),
            ("GET", "/v1/tasks/{task}", self.task),
            ("GET", "/v1/tasks/{task}/curve", self.curve),
            ("GET", "/v2/health/live", self.live),
            ("GET", "/v2/health/ready", self.ready),
            ("GET", "/v2", self.server),
            ("GET", "/v2/models/{task}", self.model),
            ("GET", "/v2/models/{task}/ready", self.ready),
            ("GET", "/metrics", self.scrape),
            ("GET", "/", self.server),
            *self._accuracy.table(),
            *self._streams.table(),
        ]
        methods: dict[str, list[str]] = {}
        for method, path, handler in served:
            app.router.add_route(method, path, handler)
            methods.setdefault(path, []).append(method)
        for path, allowed in methods.items():
            app.router.add_route("*", path, _wrong_method(", ".join(allowed)))
        app.router.add_route("*", "/{path:.*}", _no_route)
        return app

    async def classify(self, request: web.Request) -> web.Response:
        """`POST /v1/classify`: raw image bytes, or multipart with one or many."""
        arrived = time.monotonic()
        self._begin()
        try:
            trace = request.headers.get("traceparent")
            resolved = self._classifier.resolve(
                parse_query(request.rel_url.raw_query_string), arrived, trace
            )
            async with self._bodies.images(request) as images:
                if len(images) == 1:
                    body = (await self._classifier.classify(images[0], resolved)).as_dict()
                else:
                    body = await self._many(images, resolved)
            reply = json_reply(body)
        except HawkVisionError as error:
            reply = self._refused(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("unexpected error in /v1/classify")
            self._metrics.refused("internal")
            reply = plain_error(500, "internal", "internal error", "See the agent's log.")
        finally:
            self._end()
        if self.draining:
            reply.force_close()
        return reply

    def _begin(self) -> None:
        self._in_flight += 1
        if self._in_flight == 1:
            self.idle.clear()

    def _end(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self.idle.set()

    def _refused(self, error: HawkVisionError) -> web.Response:
        self._metrics.refused(error.code)
        if isinstance(error, BodyTimeout):
            reply = plain_error(408, error.code, error.message, error.hint)
        else:
            reply = error_reply(error)
        if reply.status in (408, 413):
            reply.force_close()
        return reply

    async def _many(self, images: list[bytes], resolved: Request) -> dict[str, Any]:
        self._classifier.pool.check_room(len(images), resolved.deadline)
        answers = await asyncio.gather(
            *(self._classifier.classify(image, resolved) for image in images),
            return_exceptions=True,
        )
        results: list[Result] = []
        for answer in answers:
            if isinstance(answer, HawkVisionError):
                self._metrics.refused(answer.code)
            elif isinstance(answer, BaseException):
                raise answer
            results.append(answer)
        return results_body(results)

    async def tasks(self, _request: web.Request) -> web.Response:
        """`GET /v1/tasks`: the default task first."""
        tasks = [describe_task(local) for local in self._classifier.tasks.values()]
        return json_reply(tasks_body(tasks))

    async def task(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}`."""
        try:
            described = describe_task(self._classifier.task(request.match_info["task"]))
            return json_reply(described.as_dict())
        except HawkVisionError as error:
            return error_reply(error)

    async def curve(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}/curve?link_ms=20`: targets, thresholds and what they cost."""
        try:
            local = self._classifier.task(request.match_info["task"])
            link_ms = parse_link_ms(request.rel_url.query)
        except HawkVisionError as error:
            return error_reply(error)
        summary = await asyncio.to_thread(
            summarise_task, local.task, local.policy.scores, delta=self._delta, link_ms=link_ms
        )
        return json_reply(summary.as_dict())

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/live`: 200 while the process answers."""
        return json_reply({"live": True})

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /v2/health/ready` and `/v2/models/{task}/ready`: 503 while draining."""
        name = request.match_info.get("task")
        if name is not None and name not in self._classifier.tasks:
            return json_reply({"error": f"unknown model {name[:80]!r}"}, 404)
        body: dict[str, Any] = {"ready": not self.draining}
        if name is not None:
            body = {"name": name, **body}
        return json_reply(body, 503 if self.draining else 200)

    async def server(self, _request: web.Request) -> web.Response:
        """`GET /v2`: server metadata."""
        return json_reply(describe_server())

    async def model(self, request: web.Request) -> web.Response:
        """`GET /v2/models/{task}`: a task as the Open Inference Protocol describes a model."""
        name = request.match_info["task"]
        local = self._classifier.tasks.get(name)
        if local is None:
            return json_reply({"error": f"unknown model {name[:80]!r}"}, 404)
        return json_reply(describe_model(local))

    async def scrape(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: Prometheus text."""
        text = await asyncio.to_thread(generate_latest, self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _wrong_method(allowed: str) -> Handler:
    async def refuse(request: web.Request) -> web.Response:
        reply = plain_error(
            405, "method_not_allowed", f"{request.method} is not allowed here", f"Use {allowed}."
        )
        reply.headers["Allow"] = allowed
        return reply

    return refuse


async def _no_route(request: web.Request) -> web.Response:
    return plain_error(
        404, "not_found", f"no such path: {request.path[:120]}", "POST images to /v1/classify."
    )
