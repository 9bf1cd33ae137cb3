"""Simulated edge agents against a gateway, over real gRPC, in a process of their own.

`python -m loadtest.bench.gateway_load ADDRESS TASK VERSION IMAGE AGENTS SECONDS DEADLINE RATE`
prints counts (answered, late, refused, failed), the rate and times as JSON. Each agent has a
connection of its own. With RATE 0 it asks again once it is answered; else calls begin at so many a
second, whoever is waiting.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

from hawkvision.oip.inference import build_request
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub

_OWN = (("grpc.use_local_subchannel_pool", 1),)


class Agents:
    """Counts what became of calls; times in seconds."""

    def __init__(self, stubs: list[Any], request: Any, deadline_s: float) -> None:
        self._stubs = stubs
        self._request = request
        self._deadline_s = deadline_s
        self.answered: list[float] = []
        self.refused: list[float] = []
        self.late = self.failed = 0

    async def ask(self, agent: int) -> None:
        """One call of one agent."""
        start = time.perf_counter()
        try:
            stub = self._stubs[agent % len(self._stubs)]
            await stub.ModelInfer(self._request, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            took = time.perf_counter() - start
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.refused.append(took)
            elif error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self.late += 1
            else:
                self.failed += 1
        else:
            self.answered.append(time.perf_counter() - start)

    async def closed(self, until: float) -> None:
        """Every agent asks one call after another."""

        async def one(agent: int) -> None:
            while time.perf_counter() < until:
                await self.ask(agent)

        await asyncio.gather(*(one(agent) for agent in range(len(self._stubs))))

    async def at_rate(self, rate: float, until: float) -> None:
        """Calls begin at `rate` a second, one agent after another."""
        calls: set[asyncio.Task[None]] = set()
        start = time.perf_counter()
        number = 0
        while (now := time.perf_counter()) < until:
            while number < (now - start) * rate:
                task = asyncio.create_task(self.ask(number))
                calls.add(task)
                task.add_done_callback(calls.discard)
                number += 1
            await asyncio.sleep(0.001)
        await asyncio.gather(*calls)


async def run(arguments: list[str], image: bytes) -> dict[str, float]:
    """See the module."""
    address, task, version = arguments[:3]
    agents = int(arguments[4])
    seconds, deadline_s, rate = (float(one) for one in arguments[5:8])
    channels = [grpc.aio.insecure_channel(address, options=_OWN) for _ in range(agents)]
    make: Callable[[Any], Any] = GRPCInferenceServiceStub
    request = build_request(task, version, "bench", image)
    found = Agents([make(channel) for channel in channels], request, deadline_s)
    ready: list[Awaitable[None]] = [channel.channel_ready() for channel in channels]
    await asyncio.gather(*ready)
    start = time.perf_counter()
    if rate:
        await found.at_rate(rate, start + seconds)
    else:
        await found.closed(start + seconds)
    took = time.perf_counter() - start
    for channel in channels:
        await channel.close()
    p50, p99 = _percentiles(found.answered)
    return {
        "answered": len(found.answered),
        "late": found.late,
        "refused": len(found.refused),
        "failed": found.failed,
        "rate": len(found.answered) / took,
        "p50_ms": p50,
        "p99_ms": p99,
        "refusal_p99_ms": _percentiles(found.refused)[1],
    }


def _percentiles(times_s: list[float]) -> tuple[float, float]:
    """P50 and P99 in milliseconds; 0 where there are none."""
    if not times_s:
        return 0.0, 0.0
    p50, p99 = np.percentile(times_s, [50, 99]) * 1e3
    return float(p50), float(p99)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1:], Path(sys.argv[4]).read_bytes()))))
