"""A server on a real socket that speaks the agent's HTTP contract, with answers made to order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TASK = {
    "name": "tiny",
    "version": "1",
    "description": "Four colours.",
    "labels": ["red", "green", "blue", "grey"],
    "aliases": {"gray": "grey"},
    "default_accuracy": 0.8,
    "highest_certifiable": 0.93,
    "delta": 0.05,
    "calibration_images": 600,
    "rungs": [],
}


def answer(body: bytes) -> dict[str, Any]:
    """The contract's answer; the body `escalate` is answered by the data center."""
    escalated = body.startswith(b"escalate")
    return {
        "request_id": "r-1",
        "task": "tiny",
        "label": "green",
        "class_id": 1,
        "confidence": 0.75,
        "top_k": [
            {"label": "green", "class_id": 1, "probability": 0.75},
            {"label": "red", "class_id": 0, "probability": 0.25},
        ],
        "served_by": "dc" if escalated else "edge",
        "escalated": escalated,
        "degraded": None,
        "accuracy": {"target": 0.8, "certified": True, "threshold": 0.5},
        "timing_ms": {"decode": 0.1, "infer": 0.2, "escalate": 0.0, "total": 0.4},
    }


def refusal(code: str, **more: Any) -> dict[str, Any]:
    """The contract's error body."""
    return {"code": code, "message": f"it is {code}", "hint": "do better", **more}


@dataclass
class Agent:
    """What the server saw, and what it refuses."""

    url: str = ""
    queries: list[dict[str, str]] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    overloads: int = 0
    ready: bool = True

    async def classify(self, request: web.Request) -> web.Response:
        """`POST /v1/classify`."""
        self.queries.append(dict(request.query))
        assert request.transport is not None
        self.ports.add(request.transport.get_extra_info("peername")[1])
        if float(request.query.get("accuracy", "0.8")) > 0.93:
            body = refusal("target_unreachable", highest_certifiable=0.93)
            return web.json_response({"error": body}, status=422)
        if self.overloads > 0:
            self.overloads -= 1
            error = {"error": refusal("overloaded")}
            return web.json_response(error, status=503, headers={"Retry-After": "3"})
        if request.content_type != "multipart/form-data":
            return _single(await request.read())
        parts = [
            bytes(await part.read())  # type: ignore[union-attr]
            async for part in await request.multipart()
        ]
        results = [
            {"error": refusal("corrupt_image")} if part == b"corrupt" else answer(part)
            for part in parts
        ]
        return web.json_response({"results": results})

    async def tasks(self, _request: web.Request) -> web.Response:
        """`GET /v1/tasks`."""
        return web.json_response({"tasks": [TASK]})

    async def task(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}`."""
        if request.match_info["task"] != "tiny":
            return web.json_response({"error": refusal("unknown_task")}, status=404)
        return web.json_response(TASK)

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /v2/health/ready`."""
        return web.json_response({}, status=200 if self.ready else 503)

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_post("/v1/classify", self.classify)
        app.router.add_get("/v1/tasks", self.tasks)
        app.router.add_get("/v1/tasks/{task}", self.task)
        app.router.add_get("/v2/health/ready", self.health)
        return app


def _single(body: bytes) -> web.Response:
    if body == b"corrupt":
        return web.json_response({"error": refusal("corrupt_image")}, status=422)
    if body == b"odd":
        return web.json_response({"error": refusal("teapot")}, status=418)
    if body == b"html":
        return web.Response(text="<html>a proxy</html>", status=502)
    return web.json_response(answer(body))


@contextmanager
def serving() -> Iterator[Agent]:
    """The agent on a free port, in a thread with its own event loop."""
    agent = Agent()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(agent.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    agent.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield agent
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
