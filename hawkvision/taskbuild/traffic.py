"""Send labelled images to a running agent at several accuracy targets, and record the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hawkvision.client import AsyncClient, TaskInfo
from hawkvision.contract.errors import ABOUT_ONE_IMAGE
from hawkvision.datasets import copies_elsewhere, open_labelled, order, remark_on
from hawkvision.errors import DatasetError, HawkVisionError, Overloaded, TargetUnreachable
from hawkvision.taskbuild.evaluation import Record, Row, summarise

_MAX_TRIES = 5
_LONGEST_PAUSE_S = 5
DRAWN = "roadsigns"
DRAWN_IMAGES = 500
DRAWN_SEED = 7


@dataclass(frozen=True, slots=True)
class Labelled:
    """One encoded image and its truth, as the task's kind knows it."""

    data: bytes
    truth: Any


def load_images(
    source: str,
    split: str | None,
    task: TaskInfo,
    limit: int | None,
    seed: int = DRAWN_SEED,
    remark: Callable[[str], None] = lambda _text: None,
) -> list[Labelled]:
    """Labelled images of a folder or tar, or drawn ones for `roadsigns` or `roadsigns:N`.

    `limit` takes a fixed, class-mixed part (ordered by the hash of the names). `remark` is told
    what was noticed of them. Raises DatasetError where a class folder is no label or alias of the
    task.
    """
    name, _, count = source.partition(":")
    if name == DRAWN and not Path(source).exists():
        wanted = _count(count) if count else DRAWN_IMAGES
        return _drawn(min(wanted, limit or wanted), task, seed)
    found = open_labelled(Path(source), split)
    for note in found.notes:
        remark(note)
    if copies := copies_elsewhere(found):
        remark(remark_on(copies))
    truths = _truths(found.labels, task)
    if limit is not None and limit < len(found):
        found = found.part(order.by_name(found.members)[:limit])
    images = sorted(found, key=lambda image: order.name_hash(image.name))
    return [Labelled(image.data, truths[image.label]) for image in images]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise DatasetError(
            f"{DRAWN}:{text[:40]} names no number of images", hint=f"For example {DRAWN}:500."
        )
    return int(text)


def _drawn(count: int, task: TaskInfo, seed: int) -> list[Labelled]:
    from hawkvision import roadsigns

    truths = _truths(roadsigns.CLASSES, task)
    return [
        Labelled(sample.jpeg, truths[sample.label]) for sample in roadsigns.stream(count, seed=seed)
    ]


def _truths(labels: Sequence[str], task: TaskInfo) -> dict[str, Any]:
    """The truth of each label of the data. Raises DatasetError for one that is none of the task."""
    found, strange = {}, []
    for label in labels:
        try:
            found[label] = task.made_kind.truth(label)
        except DatasetError as error:
            strange.append(error)
    if strange:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise DatasetError(
            f"{strange[0].message} {task.name!r}{more}", hint=strange[0].hint
        ) from strange[0]
    return found


async def choose_task(client: AsyncClient, name: str | None) -> TaskInfo:
    """The named task, or the agent's default one."""
    return await client.task(name) if name is not None else (await client.tasks())[0]


class Evaluation:
    """Sends every image at every target, the targets interleaved, with bounded concurrency."""

    def __init__(
        self,
        client: AsyncClient,
        task: TaskInfo,
        *,
        concurrency: int,
        stop_after_s: float | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._task = task
        self._concurrency = concurrency
        self._stop_after_s = stop_after_s
        self._progress = progress

    async def run(self, images: Sequence[Labelled], targets: Sequence[float | str]) -> list[Row]:
        """One row for each target, in the order given; requests with no answer are its `failed`."""
        rows: dict[float | str, Row] = {}
        records: dict[float | str, list[Record]] = {}
        for target in dict.fromkeys(targets):
            highest = await self._unreachable(images, target)
            if highest is None:
                records[target] = []
            else:
                row = summarise(target, [])
                rows[target] = replace(row, highest_certifiable=highest)
        failed = dict.fromkeys(records, 0)
        jobs = iter([(image, target) for image in images for target in records])
        end = None if self._stop_after_s is None else time.monotonic() + self._stop_after_s

        async def work() -> None:
            for image, target in jobs:
                if end is not None and time.monotonic() > end:
                    return
                record = await self._one(image, target)
                if record is None:
                    failed[target] += 1
                else:
                    records[target].append(record)
                self._progress()

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work())
        binary = self._task.made_kind.binary
        rows |= {
            target: summarise(target, got, failed[target], binary=binary)
            for target, got in records.items()
        }
        return [rows[target] for target in dict.fromkeys(targets)]

    async def _unreachable(self, images: Sequence[Labelled], target: float | str) -> float | None:
        """The highest certifiable target where `target` is refused; warms the agent up."""
        try:
            await self._client.classify(images[0].data, accuracy=target, task=self._task.name)
        except TargetUnreachable as error:
            return error.highest
        except (*ABOUT_ONE_IMAGE, Overloaded):
            return None  # the target was taken; the image counts as failed when its turn comes
        return None

    async def _one(self, image: Labelled, target: float | str) -> Record | None:
        for _ in range(_MAX_TRIES):
            start = time.perf_counter()
            try:
                answer = await self._client.classify(
                    image.data, accuracy=target, top_k=1, task=self._task.name
                )
            except Overloaded as error:
                await asyncio.sleep(min(error.retry_after_s, _LONGEST_PAUSE_S))
                continue
            except HawkVisionError:
                return None
            kind = self._task.made_kind
            return Record(
                loss=kind.loss(kind.parse_answer(answer.prediction), image.truth),
                escalated=answer.escalated,
                degraded=answer.degraded is not None,
                certified=answer.certified,
                latency_ms=(time.perf_counter() - start) * 1e3,
                image_bytes=len(image.data),
            )
        return None
