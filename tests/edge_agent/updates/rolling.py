"""A running agent that takes updates from a real server, under labelled traffic."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import simplejpeg

from edge_agent.agent import Agent
from edge_agent.updates.rollouts import Rollouts
from hawkvision.client.async_client import AsyncClient
from hawkvision.errors import HawkVisionError
from hawkvision.roadsigns import CLASSES, draw_label, render
from hawkvision.updates.release import Rollout, Wave
from tests.edge_agent.agents import started
from tests.models import LABELS, coloured_jpeg

QUICK = Rollout(
    waves=(Wave(1.0),), epsilon=0.1, shadow=1.0, first_pairs=10, least_pairs=40, slower=0
)
"""Every request is compared, and few are enough."""


@asynccontextmanager
async def updating(
    repository: Path, url: str, root: bytes, **settings: Any
) -> AsyncIterator[Agent]:
    """An agent over a repository that looks at `url` again and again."""
    path = repository.parent / f"{repository.name}-root.json"
    path.write_bytes(root)
    options = {"updates_every_s": 0.2, "audit_share": 0.0, "control": False}
    async with started(repository, updates=url, updates_root=path, **(options | settings)) as agent:
        yield agent


def rollouts(agent: Agent) -> Rollouts:
    assert agent.updates is not None and agent.updates.rollouts is not None
    return agent.updates.rollouts


async def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


def colours() -> Iterator[tuple[bytes, str]]:
    """Images of the tiny task and their labels, without end."""
    made = [(coloured_jpeg(label, seed), label) for label in LABELS for seed in range(4)]
    while True:
        yield from made


def signs(count: int = 200) -> Iterator[tuple[bytes, str]]:
    """Road signs and their labels, again and again."""
    made = []
    for index in range(count):
        label, seed = draw_label(index, seed=77)
        image = simplejpeg.encode_jpeg(render(label, seed), quality=92, colorsubsampling="444")
        made.append((image, CLASSES[label]))
    while True:
        yield from made


class Traffic:
    """What clients saw: statuses that were no answer, and whether answers were right."""

    def __init__(self) -> None:
        self.failed: list[Exception] = []
        self.right: list[bool] = []


@asynccontextmanager
async def traffic(
    agent: Agent,
    images: Iterator[tuple[bytes, str]],
    *,
    labels: bool = True,
    pause_s: float = 0.002,
    **asked: Any,
) -> AsyncIterator[Traffic]:
    """Requests one after another, each followed by its label."""
    seen, stop = Traffic(), asyncio.Event()

    async def client() -> None:
        async with AsyncClient(agent.url) as one:
            while not stop.is_set():
                image, label = next(images)
                try:
                    answer = await one.classify(image, **asked)
                    seen.right.append(answer.prediction["label"] == label)
                    if labels:
                        await one.feedback(answer.request_id, label)
                except HawkVisionError as error:
                    seen.failed.append(error)
                await asyncio.sleep(pause_s)

    task = asyncio.create_task(client())
    try:
        yield seen
    finally:
        stop.set()
        await task


def repository_of(folder: Path, into: Path) -> Path:
    """A model repository with one version, from its folder."""
    shutil.copytree(folder, into / folder.parent.name / folder.name)
    return into
