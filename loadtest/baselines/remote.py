"""Everything goes over the link to the data center's gateway; the edge holds no network."""

from __future__ import annotations

import secrets
import time
from typing import Any

from edge_agent.upstream import Answered, Call, GrpcUpstream
from hawkvision.errors import Overloaded
from hawkvision.repository import Task
from loadtest.baselines.local import Said

_MOST_OPEN = 4096


class Remote:
    """See Answerer: the gateway answers, or nobody does."""

    def __init__(self, task: Task, gateway: str) -> None:
        self._task = task
        self._upstream = GrpcUpstream([gateway], _MOST_OPEN)

    async def answer(self, image: bytes, target: float, deadline: float) -> Said:
        """See Answerer. Raises Overloaded where the gateway gives no answer."""
        start = time.perf_counter()
        call = Call(self._task, image, deadline, secrets.token_hex(8))
        found = await self._upstream.ask(call)
        if not isinstance(found, Answered):
            raise Overloaded(f"the data center gave no answer: {found.reason}", hint="Retry later.")
        return Said(found.prediction, "dc", 0.0, (time.perf_counter() - start) * 1e3)

    def stats(self) -> dict[str, Any]:
        """See Answerer."""
        return {"loads": 0, "evictions": 0, "load_s": 0.0, "resident": []}

    async def close(self) -> None:
        """See Answerer."""
        await self._upstream.close()
