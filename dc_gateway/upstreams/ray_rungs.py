"""Rungs in replicas of Ray Serve: one deployment for each rung, which Ray scales.

Nothing here imports Ray: a handle is what `DeploymentHandle` offers of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from dc_gateway.upstreams.again import Lost, once_more
from dc_gateway.upstreams.base import RungName, Shared, Shipped
from dc_gateway.upstreams.compute import compute
from dc_gateway.upstreams.wire import (
    Head,
    Work,
    decode_done,
    decode_work,
    encode_done,
    encode_work,
    results_of,
)
from dc_gateway.upstreams.worker import WorkerSettings, load, told_of
from hawkvision.errors import DeadlineExceeded, EngineError

_log = logging.getLogger(__name__)

GRACE_S = 5.0


class RungReplica:
    """What one replica does: one rung of one task, loaded. Runs on Ray's threads."""

    def __init__(self, settings: str, rung: str) -> None:
        self._settings = WorkerSettings.parse(settings)
        self._rungs = load(self._settings, rung)

    def describe(self) -> list[dict[str, Any]]:
        """See `told_of`."""
        return told_of(self._rungs)

    def compute(self, head: Head, body: bytes) -> tuple[Head, bytes]:
        """See `compute`. An error is an answer too: Ray would send its traceback."""
        try:
            return encode_done(compute(self._rungs, decode_work(head, body), self._settings.limits))
        except (EngineError, ValueError) as error:
            return {"error": str(error)}, b""


class Handle(Protocol):
    """Calls a deployment: `handle.compute.remote(head, body)` can be awaited."""

    compute: Any


class RayRungs(Shared):
    """Implements `RungUpstream`; its threads wait while `loop` asks.

    `is_lost` knows the errors of a replica that ended.
    """

    def __init__(
        self,
        handles: Mapping[RungName, Handle],
        loop: asyncio.AbstractEventLoop,
        is_lost: tuple[type[BaseException], ...],
        grace_s: float = GRACE_S,
    ) -> None:
        self._handles = handles
        self._loop = loop
        self._is_lost = is_lost
        self._grace_s = grace_s

    def compute(self, rung: RungName, kind: Any, images: Sequence[Shipped]) -> list[Any]:
        """See `RungUpstream.compute`."""
        return once_more(partial(self._once, rung, kind), images, partial(self._lost, rung))

    def _lost(self, rung: RungName) -> None:
        _log.warning("a replica of task %s, rung %s ended at work", rung.task, rung.rung)

    def _once(self, rung: RungName, kind: Any, images: Sequence[Shipped]) -> list[Any]:
        left_s = max(image.deadline for image in images) - time.monotonic()
        work = Work(rung.task, rung.rung, [image.image for image in images], left_s)
        asking = asyncio.run_coroutine_threadsafe(
            self._ask(self._handles[rung], work, left_s + self._grace_s), self._loop
        )
        try:
            head, body = asking.result()
        except TimeoutError as error:
            raise DeadlineExceeded(
                "no replica answered by the deadline", hint="Allow more time."
            ) from error
        except self._is_lost as error:
            raise Lost from error
        if "error" in head:
            raise EngineError(f"a replica failed: {head['error']}")
        try:
            return results_of(decode_done(head, body), kind, len(images))
        except ValueError as error:
            raise EngineError(f"a replica answers wrongly: {error}") from error

    async def _ask(self, handle: Handle, work: Work, seconds: float) -> tuple[Head, bytes]:
        async with asyncio.timeout(max(0.0, seconds)):
            reply: tuple[Head, bytes] = await handle.compute.remote(*encode_work(work))
        return reply

    def close(self) -> None:
        """See `RungUpstream.close`. Replicas are Ray's."""
