"""Cameras that are stopped and started again."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.contract.stream import Advice, FrameResult, StreamEvent
from hawkvision.errors import HawkVisionError
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.wire.rtp import timestamp_distance
from hawkvision.lossy.wire.srtp import PLAIN, SUITES
from tests.processes import Service
from tests.system.cameras.senders import command, needs, settled

REFUSED = {"restarted", "rejected"}
STARTS, ENOUGH = 5, 8


@dataclass
class Start:
    """What came of one start of a camera: its answers, or what was told instead, and when."""

    results: list[FrameResult] = field(default_factory=list)
    told: str | None = None
    seconds: float = 0.0

    def note(self, event: StreamEvent) -> None:
        if isinstance(event, FrameResult) and not isinstance(event.answer, HawkVisionError):
            self.results.append(event)
        elif isinstance(event, Advice) and event.code in REFUSED:
            self.told = event.code

    def pictures(self) -> list[tuple[str, float]]:
        """What the first pictures of this start were answered, in the order they were taken."""
        first = self.results[0].frame.timestamp
        ranked = sorted(
            self.results, key=lambda one: timestamp_distance(one.frame.timestamp, first)
        )
        answers = [one.answer for one in ranked[:ENOUGH]]
        return [
            (str(answer.label), round(answer.confidence, 4))
            for answer in answers
            if not isinstance(answer, HawkVisionError)
        ]


async def starts_and_stops(
    client: AsyncClient, offer: StreamOffer, arguments: list[str], rounds: int
) -> list[Start]:
    """Start a camera, kill it when it was heard, start it again, and so on."""
    events: asyncio.Queue[StreamEvent] = asyncio.Queue()

    async def follow() -> None:
        async for event in client.stream_events(offer.id, after=0):
            events.put_nowait(event)

    follower = asyncio.create_task(follow())
    found: list[Start] = []
    try:
        for _ in range(rounds):
            camera = await asyncio.create_subprocess_exec(
                *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            start, begun = Start(), time.monotonic()
            try:
                async with asyncio.timeout(30):
                    while len(start.results) < ENOUGH and start.told is None:
                        start.note(await events.get())
            finally:
                with contextlib.suppress(ProcessLookupError):
                    camera.kill()
                await camera.wait()
            start.seconds = time.monotonic() - begun
            await asyncio.sleep(0.2)  # frames that are still being answered
            while not events.empty():
                start.note(events.get_nowait())
            found.append(start)
    finally:
        follower.cancel()
    return found


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_a_camera_that_is_stopped_and_started_is_answered_or_told(
    tool: str, suite: str, agent: Service, sequence: Path
) -> None:
    """A plain one is answered from the first picture of each start, though its port is another."""
    needs(tool)
    if tool == "ffmpeg" and suite == "AEAD_AES_128_GCM":
        pytest.skip("FFmpeg has no GCM")
    async with AsyncClient(f"http://{agent.address}") as client:
        offer = await client.open_stream({"suite": suite, "accuracy": "0.85", "deadline_ms": 2000})
        starts = await starts_and_stops(client, offer, command(offer, tool, sequence), STARTS)
        status = await settled(client, offer)
    codes = {one.code for one in status.advice}
    assert len(starts[0].results) >= ENOUGH and "congestion" not in codes
    assert all(len(start.results) >= ENOUGH or start.told for start in starts)
    assert status.packets.lost < 100  # nothing is lost here, and no start counts as loss
    if suite == PLAIN:
        assert "resumed" in codes and status.packets.rejected == 0
        assert len(set(starts[0].pictures())) > 1
        for start in starts[1:]:
            assert start.pictures() == starts[0].pictures()
