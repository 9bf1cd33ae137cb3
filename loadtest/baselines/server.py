"""The contract's `POST /v1/classify` around one baseline, as lean as aiohttp allows."""

from __future__ import annotations

import itertools
import math
import time

import orjson
from aiohttp import web

from hawkvision.contract.answer import Answer, Promise
from hawkvision.contract.errors import error_body
from hawkvision.errors import (
    DeadlineExceeded,
    EngineError,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
)
from hawkvision.repository.task import Kind
from loadtest.baselines.local import Answerer, Said

_JSON = {"Content-Type": "application/json"}
_DEADLINE_MS = 1000.0
_LARGEST = 32 * 1024 * 1024


class Baseline:
    """Answers requests of one task by asking `answerer`."""

    def __init__(self, task: str, kind: Kind, answerer: Answerer) -> None:
        self._task = task
        self._kind = kind
        self._answerer = answerer
        self._numbers = itertools.count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Any request of a connection."""
        start = time.monotonic()
        if request.path == "/v2/health/ready":
            return web.Response(text="ready\n")
        if request.path == "/stats":
            return web.Response(body=orjson.dumps(self._answerer.stats()), headers=_JSON)
        if request.method != "POST" or request.path != "/v1/classify":
            return web.Response(status=404)
        try:
            target, deadline_ms = _asked(request)
            image = await request.read()
            said = await self._answerer.answer(image, target, start + deadline_ms / 1e3)
        except HawkVisionError as error:
            busy = isinstance(error, (Overloaded, DeadlineExceeded))
            status = 503 if busy else 500 if isinstance(error, EngineError) else 400
            headers = {**_JSON, "Retry-After": "1"} if busy else _JSON
            return web.Response(
                status=status, body=orjson.dumps(error_body(error)), headers=headers
            )
        body = self._answer(said, target, (time.monotonic() - start) * 1e3).as_dict()
        return web.Response(body=orjson.dumps(body), headers=_JSON)

    def _answer(self, said: Said, target: float, total_ms: float) -> Answer:
        away = said.by == "dc"
        times = {
            "decode": said.decode_ms,
            "infer": 0.0 if away else said.infer_ms,
            "escalate": said.infer_ms if away else 0.0,
            "total": total_ms,
        }
        return Answer(
            request_id=str(next(self._numbers)),
            task=self._task,
            prediction=self._kind.as_dict(said.prediction, 1),
            served_by=said.by,
            escalated=away,
            degraded=said.degraded,
            accuracy=Promise(target, certified=False, threshold=0.0),
            timing_ms=times,
        )


def _asked(request: web.BaseRequest) -> tuple[float, float]:
    try:
        target = float(request.query["accuracy"])
        deadline_ms = float(request.query.get("deadline_ms", _DEADLINE_MS))
    except (KeyError, ValueError) as error:
        raise InvalidRequest("accuracy and deadline_ms are numbers") from error
    if not (0 < target <= 1 and 0 < deadline_ms < math.inf):
        raise InvalidRequest("accuracy or deadline_ms is out of range")
    return target, deadline_ms


async def start(baseline: Baseline, host: str, port: int) -> tuple[web.ServerRunner, int]:
    """Listen; the runner to clean up, and the port."""
    server = web.Server(baseline.handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    return runner, int(runner.addresses[0][1])
