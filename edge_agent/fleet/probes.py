"""Golden probes: stored labelled images, replayed through both rungs off the hot path."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_agent.local import LocalTask
from edge_agent.upstream import Answered, Call, Upstream
from hawkvision.datasets import open_labelled
from hawkvision.errors import DatasetError, HawkVisionError, Overloaded
from hawkvision.serving.pool import WorkerPool
from hawkvision.tracking import counts as observe
from hawkvision.tracking.counts import PROBES
from hawkvision.tracking.records import CountKey

_TIMEOUT_S = 2.0
_MOST_IMAGES = 2000


class GoldenProbes:
    """Replays one image at each call of `probe`. Raises DatasetError for foreign labels."""

    def __init__(
        self,
        local: LocalTask,
        folder: Path,
        pool: WorkerPool,
        upstream: Upstream,
    ) -> None:
        found = open_labelled(folder)
        try:
            truths = {label: local.task.kind.truth(label) for label in found.labels}
        except DatasetError as error:
            raise DatasetError(
                f"probes: {error.message} {local.task.name}",
                hint="Lay them out as <class>/<image>, with the labels or aliases of the task.",
            ) from error
        images = [
            (image.data, truths[image.label]) for image in itertools.islice(found, _MOST_IMAGES)
        ]
        self._images: Iterator[tuple[bytes, Any]] = itertools.cycle(images)
        self._local = local
        self._pool = pool
        self._upstream = upstream

    async def probe(self, add: observe.Add) -> None:
        """Ask both rungs about the next image and count who was right."""
        data, truth = next(self._images)
        try:
            edge = await self._pool.submit(self._local.answer, data)
        except Overloaded:
            return  # requests come first
        except HawkVisionError as error:
            raise DatasetError(f"a probe cannot be answered: {error}") from error
        due = time.monotonic() + _TIMEOUT_S
        dc = await self._upstream.ask(Call(self._local.task, data, due, PROBES, background=True))
        kind = self._local.task.kind
        if isinstance(dc, Answered):
            observe.paired(
                add,
                CountKey(self._local.task.name, "", PROBES),
                edge_error=kind.loss(edge.prediction, truth),
                dc_error=kind.loss(dc.prediction, truth),
            )
