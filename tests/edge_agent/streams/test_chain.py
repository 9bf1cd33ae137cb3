"""Frames go through the rungs that an agent holds as images do, whole or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream, Sending
from tests.edge_agent.agents import gateway_of, started
from tests.models import LABELS, SIDE, build_chain, coloured_jpeg

RUNGS = {"edge": 5, "medium": 12, "dc": SIDE}
FRAMES = [
    coloured_jpeg(LABELS[i % 4], seed=20_000 + i, size=(320, 240)) for i in (0, 1, 2, 3, 5, 8, 13)
]
ASKED: dict[str, Any] = {"accuracy": 0.9, "deadline_ms": 5000.0}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chain(tmp_path_factory.mktemp("chain"), RUNGS, (0.9,))


async def test_a_whole_frame_is_answered_by_the_rung_that_answers_over_http(
    repository: Path,
) -> None:
    seen = set()
    async with (
        gateway_of(repository) as gateway,
        started(repository, gateway=gateway, rungs=2) as agent,
        AsyncClient(agent.url) as client,
        LossyStream.open(agent.url, **ASKED) as stream,
    ):
        for image in FRAMES:
            frame = await stream.classify(image)
            reference = await client.classify(image, accuracy=0.9)
            assert frame.answer.rung == reference.rung
            assert frame.answer.served_by == ("dc" if frame.answer.rung == "dc" else "edge")
            assert frame.answer.escalated == (frame.answer.rung == "dc") and frame.answer.certified
            seen.add(frame.answer.rung)
    assert seen == set(RUNGS)


async def test_a_damaged_frame_goes_on_from_the_edge_without_a_link(repository: Path) -> None:
    """No level of loss is certified here: all that lost a part is handed on, and says so."""
    async with (
        started(repository, rungs=2) as agent,
        LossyStream.open(agent.url, sending=Sending(parity=0), **ASKED) as stream,
    ):
        whole = stream._sender.frame

        def all_but_one(image: Any, timestamp: int) -> list[bytes]:
            packets = whole(image, timestamp)
            return [*packets[:2], *packets[3:]]

        stream._sender.frame = all_but_one  # type: ignore[method-assign]
        found = [await stream.classify(image) for image in FRAMES]
    assert all(one.lost_fraction > 0 for one in found)
    assert {one.answer.rung for one in found} == {"medium"}
    assert {one.answer.degraded for one in found} <= {"dc_unreachable", "loss"}
    assert not any(one.answer.certified for one in found)
