"""Several edge agents in one process, each with clients of its own; they share only the network.

`python -m loadtest.bench.fleet.agents` reads a plan as JSON from standard input. It prints a line
when all agents listen, waits for one on standard input, sends, drains, and prints what came back.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from hawkvision.client import AsyncClient
from hawkvision.errors import HawkVisionError
from loadtest.arrivals import arrivals
from loadtest.bench.fleet.images import read_images
from loadtest.shapes import steady
from loadtest.traffic import TrafficImage

Counts = dict[str, Counter[str]]


class Station:
    """One agent, and who asks it: Poisson arrivals at targets of its own."""

    def __init__(self, agent: Agent, number: int, plan: dict[str, Any]) -> None:
        self.agent = agent
        self._plan = plan
        self._rng = random.Random(plan["seed"] * 1000 + number)
        targets: list[float] = plan["targets"]
        self._targets = [targets[number % len(targets)], self._rng.choice(targets)]
        self.counts: Counts = {}

    async def ask(self, images: list[TrafficImage]) -> None:
        """Send until the time is over, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with AsyncClient(self.agent.url) as client, asyncio.TaskGroup() as open_ones:
            for after, somebody in arrivals(steady(self._plan["rate"]), 1.0, self._rng):
                if after >= self._plan["seconds"]:
                    break
                await asyncio.sleep(max(0.0, begun + after - loop.time()))
                if somebody:
                    image, target = self._rng.choice(images), self._rng.choice(self._targets)
                    open_ones.create_task(self._one(client, image, target))

    async def _one(self, client: AsyncClient, image: TrafficImage, target: float) -> None:
        counts = self.counts.setdefault(f"{target:.2f}", Counter())
        try:
            answer = await client.classify(image.data, accuracy=target)
        except HawkVisionError as error:
            counts[f"failed {error.code}"] += 1
            return
        counts["answered"] += 1
        counts["right"] += answer.label == image.label
        counts["escalated"] += answer.escalated
        counts["degraded"] += answer.degraded is not None


async def run(plan: dict[str, Any]) -> Counts:
    """Everything that one process of the fleet does."""
    config = EdgeConfig(
        port=0,
        gateways=tuple(plan["gateways"]),
        tasks=(plan["task"],),
        threads=1,
        store=plan["store"],
        max_escalations=16,
    )
    images = read_images(Path(plan["images"]))
    tasks = load_tasks(config)
    stations = [
        Station(Agent(config, tasks), number, plan)
        for number in range(plan["first"], plan["first"] + plan["agents"])
    ]
    try:
        for station in stations:
            await station.agent.start()
        print("listening", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as asking:
            for station in stations:
                asking.create_task(station.ask(images))
        for station in stations:
            station.agent.entrance.draining = True
    finally:
        await asyncio.gather(*(station.agent.close() for station in stations))
    total: Counts = {}
    for station in stations:
        for target, counts in station.counts.items():
            total.setdefault(target, Counter()).update(counts)
    return total


def main() -> None:
    """Run the plan that stands in the first line of standard input."""
    found = uvloop.run(run(json.loads(sys.stdin.readline())))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
