"""What each replica of `ray_serve.py` does."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loadtest.peers.work import Work


class Classify:
    """Takes the body as it came; the reply says its length, which a dictionary's would not."""

    def __init__(self, task: str) -> None:
        self._work = Work(task)

    async def __call__(self, request: Request) -> Response:
        """Label and class_id, as JSON."""
        body = orjson.dumps(self._work.answer(await request.body()))
        return Response(body, media_type="application/json")
