"""Long reports are made in pieces: other work goes on between one target and the next."""

from __future__ import annotations

import asyncio
import json

from edge_agent.exporting import _gauges
from edge_agent.fleet.delivered import MOST_TARGETS, DeliveredWindows
from edge_agent.http.delivered import _encoded
from hawkvision.contract.delivered import StoreStatus


def delivered(windows: tuple[str, ...]) -> DeliveredWindows:
    sums = {"answers/edge/0": 90.0, "answers/dc/0": 10.0, "confidence/edge": 80.0}
    targets = {f"0.{number}": sums for number in range(100, 100 + MOST_TARGETS)}
    return DeliveredWindows(dict.fromkeys(windows, targets), {}, 0.03, StoreStatus(True))


class Turns:
    """How often others had a turn while something was done."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Turns:
        self._task = asyncio.create_task(self._take())
        await asyncio.sleep(0)
        self.count = 0
        return self

    async def _take(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_a_report_leaves_turns_to_others() -> None:
    async with Turns() as turns:
        body = await _encoded("signs", delivered(("5m", "1h", "24h")))
    assert turns.count >= 3 * MOST_TARGETS
    assert len(json.loads(body)["windows"]["24h"]["targets"]) == MOST_TARGETS


async def test_gauges_leave_turns_to_others() -> None:
    async with Turns() as turns:
        gauges = await _gauges(delivered(("5m",)))
    assert turns.count >= MOST_TARGETS == len(gauges)
