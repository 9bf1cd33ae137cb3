"""Simulated edge agents against a gateway, over real gRPC, in a process of their own.

`python -m loadtest.bench.gateway_load JSON`, a `Load`, prints counts (answered, late, refused,
failed), the rate and times as JSON. Each agent has a connection of its own, and asks again once it
is answered; with a `rate` calls begin at so many a second, whoever is waiting.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

from hawkvision.oip.inference import build_request
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub

_OWN = (("grpc.use_local_subchannel_pool", 1),)


@dataclass(frozen=True)
class Load:
    """What to send for how long; times in seconds, `rate` in calls a second (0: closed loop).

    `retry_s` above 0: who is refused asks again after about so long, doubled each time.
    """

    address: str
    task: str
    version: str
    image: str
    agents: int
    seconds: float
    deadline_s: float
    rate: float = 0.0
    retry_s: float = 0.0


class Agents:
    """Counts what became of calls; times in seconds."""

    def __init__(self, stubs: list[Any], request: Any, load: Load) -> None:
        self._stubs = stubs
        self._request = request
        self._load = load
        self.answered: list[float] = []
        self.refused: list[float] = []
        self.late = self.failed = 0

    async def ask(self, agent: int) -> bool:
        """One call of one agent; whether it was refused."""
        start = time.perf_counter()
        try:
            stub = self._stubs[agent % len(self._stubs)]
            await stub.ModelInfer(self._request, timeout=self._load.deadline_s)
        except grpc.aio.AioRpcError as error:
            took = time.perf_counter() - start
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.refused.append(took)
                return True
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self.late += 1
            else:
                self.failed += 1
        else:
            self.answered.append(time.perf_counter() - start)
        return False

    async def closed(self, until: float) -> None:
        """Every agent asks one call after another."""

        async def one(agent: int) -> None:
            wait_s = self._load.retry_s
            while time.perf_counter() < until:
                if await self.ask(agent) and wait_s:
                    rest_s = max(0.0, until - time.perf_counter())  # else the rate is of the waits
                    await asyncio.sleep(min(rest_s, wait_s * random.uniform(0.5, 1.5)))
                    wait_s *= 2
                else:
                    wait_s = self._load.retry_s

        await asyncio.gather(*(one(agent) for agent in range(len(self._stubs))))

    async def at_rate(self, rate: float, until: float) -> None:
        """Calls begin at `rate` a second, one agent after another."""
        calls: set[asyncio.Task[bool]] = set()
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


async def run(load: Load, image: bytes) -> dict[str, float]:
    """See the module."""
    channels = [grpc.aio.insecure_channel(load.address, options=_OWN) for _ in range(load.agents)]
    make: Callable[[Any], Any] = GRPCInferenceServiceStub
    request = build_request(load.task, load.version, "bench", image)
    request.inputs[0].shape[:] = [1, 1]  # as a Triton that makes batches wants it
    found = Agents([make(channel) for channel in channels], request, load)
    ready: list[Awaitable[None]] = [channel.channel_ready() for channel in channels]
    await asyncio.gather(*ready)
    start = time.perf_counter()
    if load.rate:
        await found.at_rate(load.rate, start + load.seconds)
    else:
        await found.closed(start + load.seconds)
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
        "growth_ms": _growth_ms(found.answered),
    }


def _percentiles(times_s: list[float]) -> tuple[float, float]:
    """P50 and P99 in milliseconds; 0 where there are none."""
    if not times_s:
        return 0.0, 0.0
    p50, p99 = np.percentile(times_s, [50, 99]) * 1e3
    return float(p50), float(p99)


def _growth_ms(times_s: list[float]) -> float:
    """By how much the median of the last third of answers is above that of the second."""
    third = len(times_s) // 3
    if not third:
        return 0.0
    return float(np.median(times_s[-third:]) - np.median(times_s[third : 2 * third])) * 1e3


if __name__ == "__main__":
    asked = Load(**json.loads(sys.argv[1]))
    print(json.dumps(asyncio.run(run(asked, Path(asked.image).read_bytes()))))
