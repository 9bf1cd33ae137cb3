"""A server on a real socket that speaks the agent's HTTP contract, with answers made to order."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.contract.bodies import (
    AGENT,
    ANSWER,
    APP,
    APP_REPORT,
    COUNTING,
    ERROR,
    FRAME,
    POWER,
    STATUS,
    TASK,
    TASK_REPORT,
)

EVENTS = (
    b"retry: 1000\n\n: still here\n\n",
    ("result", {**ANSWER, "frame": FRAME, "resend": False}),
    ("result", {"frame": FRAME, "error": ERROR}),
    ("advice", {"code": "congestion", "message": "send less"}),
    ("end", {"reason": "goodbye"}),
)


def answer(body: bytes) -> dict[str, Any]:
    """The contract's answer; `escalate…` is answered by the data center, `count` as a number."""
    if body == b"count":
        return COUNTING
    escalated = body.startswith(b"escalate")
    return {**ANSWER, "served_by": "dc" if escalated else "edge", "escalated": escalated}


def refusal(code: str, **more: Any) -> dict[str, Any]:
    """The contract's error body."""
    return {"code": code, "message": f"it is {code}", "hint": "do better", **more}


@dataclass
class Agent:
    """What the server saw, and what it refuses."""

    url: str = ""
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    seen: list[tuple[str, str, Any, str | None]] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    overloads: int = 0
    ready: bool = True
    powers: list[dict[str, Any]] = field(default_factory=list)

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
            self.bodies.append(await request.read())
            return _single(self.bodies[-1])
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

    async def other(self, request: web.Request) -> web.StreamResponse:
        """Everything beside classification: noted, and answered as the contract says."""
        body = await request.json() if request.can_read_body else None
        key = request.headers.get("Authorization")
        self.seen.append((request.method, request.raw_path, body, key))
        path = request.path
        if "nobody" in path:
            return web.json_response({"error": refusal("unknown_app")}, status=404)
        if request.method == "DELETE":
            return web.Response(status=204)
        if path.endswith("/results"):
            return await _events(request)
        if path == "/v1/power" and self.powers:
            return web.json_response(self.powers.pop(0))
        return web.json_response(self.replies[path])

    @property
    def replies(self) -> dict[str, Any]:
        """By path."""
        return {
            "/v1/feedback": {"counted": True},
            "/v1/apps": {"apps": [APP]},
            "/v1/apps/gate": APP,
            "/v1/apps/gate/accuracy": APP_REPORT,
            "/v1/tasks/tiny/accuracy": TASK_REPORT,
            "/v1/tasks/tiny/curve": {"link_ms": 5.0},
            "/v1/agents": {"agents": [AGENT]},
            "/v1/power": POWER,
            "/v1/streams": offer(),
            "/v1/streams/s": STATUS,
        }

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
        app.router.add_route("*", "/{path:.*}", self.other)
        return app


def offer() -> dict[str, Any]:
    """The reply of `POST /v1/streams`, as far as clients read it."""
    return {
        "id": "s",
        "address": {"host": "127.0.0.1", "port": 5004},
        "ssrc": 7,
        "suite": "none",
        "key": "",
        "mtu": 1200,
        "deadline_ms": 100.0,
        "wait_ms": 50.0,
        "expires_s": 60.0,
        "restart_interval": {"mcus": 20},
        "warning": "in the clear",
    }


async def _events(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    for number, event in enumerate(EVENTS):
        if isinstance(event, bytes):
            await reply.write(event)
            continue
        name, data = event
        line = f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
        for part in (line[:9], line[9:]):  # as a network may cut it
            await reply.write(part)
    await reply.write_eof()
    return reply


def _single(body: bytes) -> web.Response:
    if body == b"corrupt":
        return web.json_response({"error": refusal("corrupt_image")}, status=422)
    if body == b"odd":
        return web.json_response({"error": refusal("teapot")}, status=418)
    if body == b"html":
        return web.Response(text="<html>a proxy</html>", status=502)
    return web.json_response(answer(body))


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Agent]:
    """The agent on a free port, in a thread with its own event loop."""
    agent = Agent()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(agent.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    agent.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield agent
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
