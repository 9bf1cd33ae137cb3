"""Asks one upstream how it is: by grpc.health.v1 where it has that, else by ServerReady."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.health_pb2 import HealthCheckRequest, HealthCheckResponse
from hawkvision.oip.health_pb2_grpc import HealthStub
from hawkvision.serving.upstreams.balancer import Balancer

EVERY_S = 1.0
_TIMEOUT_S = 1.0


class Watch:
    """Of one address, every `EVERY_S`; `say` is called when the balancer may have news, `lost`
    with the address once each time that it does not answer any more.
    """

    def __init__(
        self,
        balancer: Balancer,
        address: str,
        channel: grpc.aio.Channel,
        stub: Any,
        say: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self._balancer = balancer
        self._address = address
        self._health = HealthStub(channel)  # type: ignore[no-untyped-call]
        self._stub = stub
        self._say = say
        self._lost = lost
        self._away = False
        self._has_health = True
        self._task: asyncio.Task[None] | None = None

    @property
    def began(self) -> bool:
        """Whether it has been started."""
        return self._task is not None

    def start(self) -> None:
        """Begin."""
        self._balancer.watched(self._address, offered=True)
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await self._once()
            self._say()
            await asyncio.sleep(EVERY_S)

    async def _once(self) -> None:
        try:
            serves = await self._serves()
        except grpc.aio.AioRpcError as error:
            said = f"{error.code().name}: {(error.details() or '')[:200]}"
            self._balancer.silent(self._address, said, time.monotonic())
            if not self._away:
                self._away = True
                self._lost(self._address)
        else:
            self._away = False
            self._balancer.heard(self._address, time.monotonic(), draining=not serves)

    async def _serves(self) -> bool:
        if self._has_health:
            try:
                reply = await self._health.Check(HealthCheckRequest(), timeout=_TIMEOUT_S)
                return bool(reply.status == HealthCheckResponse.SERVING)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    raise
                self._has_health = False
        ready = await self._stub.ServerReady(messages.ServerReadyRequest(), timeout=_TIMEOUT_S)
        return bool(ready.ready)

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
