"""Golden probes: stored labelled images, replayed through both rungs off the hot path."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.fleet.audits import Ask
from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.datasets import open_labelled, order
from hawkvision.errors import DatasetError, HawkVisionError, Overloaded
from hawkvision.repository import Task
from hawkvision.tracking import counts
from hawkvision.tracking.counts import PROBES
from hawkvision.tracking.records import CountKey

_MOST_IMAGES = 2000

Probed = Callable[[str, Mapping[str, float]], None]
"""Takes a task's name and the error of each rung, in [0, 1]."""


Answer = Callable[[LocalTask, bytes], Awaitable[LocalAnswer]]
"""What a task's edge rung says of an encoded image. Raises Overloaded where requests come first."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Encoded images with their labels; at least one."""

    images: tuple[tuple[bytes, str], ...]

    @classmethod
    def read(cls, task: Task, folder: Path) -> Labelled:
        """The labelled images of a folder, classes mixed.

        Raises DatasetError, also for foreign labels.
        """
        found = open_labelled(folder)
        try:
            for label in found.labels:
                task.kind.truth(label)
        except DatasetError as error:
            raise DatasetError(
                f"probes: {error.message} {task.name}",
                hint="Lay them out as <class>/<image>, with the labels or aliases of the task.",
            ) from error
        kept = found.part(order.by_name_and_label(found.members)[:_MOST_IMAGES])
        images = sorted(kept, key=lambda image: order.rank((image.name, image.label)))
        return cls(tuple((image.data, image.label) for image in images))


class GoldenProbes:
    """Replays one image at each call of `probe`, through the version that serves then."""

    def __init__(
        self,
        serving: Callable[[], LocalTask | None],
        labelled: Labelled,
        answer: Answer,
        ask: Ask,
        add: counts.Add,
        probed: Probed,
    ) -> None:
        self._images: Iterator[tuple[bytes, str]] = itertools.cycle(labelled.images)
        self._serving = serving
        self._answer = answer
        self._ask = ask
        self._add = add
        self._probed = probed

    async def probe(self) -> None:
        """Ask both rungs about the next image and count who was right.

        Raises DatasetError where the edge cannot answer it, or does not know the label any more.
        """
        local = self._serving()
        if local is None:
            return
        task = local.task
        data, label = next(self._images)
        truth = task.kind.truth(label)
        try:
            edge = await self._answer(local, data)
        except Overloaded:
            return  # requests come first
        except HawkVisionError as error:
            raise DatasetError(f"a probe cannot be answered: {error}") from error
        dc = await self._ask(local, data, PROBES)
        if dc is None:
            return
        edge_error = task.kind.loss(edge.prediction, truth)
        dc_error = task.kind.loss(dc, truth)
        key = CountKey(local.counted, "", PROBES)
        counts.paired(self._add, key, edge_error=edge_error, dc_error=dc_error)
        self._probed(task.name, {"edge": edge_error, "dc": dc_error})
