"""Simulated agents of the gateway's benchmark."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import grpc.aio

from loadtest.bench.gateway_load import Agents, Load


class Full:
    """A server that refuses every call."""

    async def ModelInfer(  # noqa: N802  # the stub's name
        self, _request: Any, timeout: float
    ) -> None:
        """Raises AioRpcError."""
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, none, none)


async def test_who_waits_to_retry_does_not_make_the_measurement_longer() -> None:
    load = Load("", "task", "1", "", agents=2, seconds=0.0, deadline_s=1.0, retry_s=3600.0)
    agents = Agents([Full(), Full()], None, load)
    await asyncio.wait_for(agents.closed(time.perf_counter() + 0.01), 60)
    assert len(agents.refused) == 2
