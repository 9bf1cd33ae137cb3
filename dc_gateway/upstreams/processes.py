"""Rungs in worker processes of this machine: what crashes or hangs there is not the gateway."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel
from dc_gateway.upstreams.again import Lost, once_more
from dc_gateway.upstreams.base import RungName, Shared, Shipped
from dc_gateway.upstreams.model import RemoteModel, Told
from dc_gateway.upstreams.wire import Work, decode_done, encode_work, results_of
from dc_gateway.upstreams.worker import WorkerSettings
from hawkvision.engines.worker.process import WorkerCommand, WorkerEnded
from hawkvision.errors import EngineError
from hawkvision.repository import Task
from hawkvision.serving.processes import ProcessPool

GRACE_S = 5.0
"""A worker looks at the time before each image; one that is silent for so long after it hangs."""

_MESSAGE_BYTES = 32 * 1024 * 1024
_STANDS_BACK = 10


class Processes(Shared):
    """Implements `RungUpstream` over two pools; that for large images starts with the first such.

    What a process ended over is tried once more, each image alone, within its deadline.
    """

    def __init__(self, settings: WorkerSettings, count: int, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self.quick = ProcessPool(_command(settings), count)
        self.large = ProcessPool(_command(replace(settings, nice=_STANDS_BACK)), max(1, count // 2))
        self._lock = threading.Lock()
        self._large_started = False
        self.tried_again = 0

    def start(self) -> Told:
        """Start the processes; what they loaded. Raises EngineError."""
        ready: Told = self.quick.start()["ready"]
        return ready

    @property
    def ready(self) -> int:
        """How many processes are there."""
        return self.quick.ready + (self.large.ready if self._large_started else 0)

    @property
    def ends(self) -> Counter[str]:
        """How often a process ended by itself, by cause."""
        return self.quick.ends + self.large.ends

    def compute(self, rung: RungName, kind: Any, images: Sequence[Shipped]) -> list[Any]:
        """See `RungUpstream.compute`."""
        found: list[Any] = []
        for group in _groups(images):
            found += once_more(partial(self._once, rung, kind), group, self._lost)
        return found

    def _lost(self) -> None:
        self.tried_again += 1

    def _once(self, rung: RungName, kind: Any, images: Sequence[Shipped]) -> list[Any]:
        until = max(image.deadline for image in images)
        pool = self._pool(any(image.large for image in images))
        left_s = until - time.monotonic()
        head, body = encode_work(
            Work(rung.task, rung.rung, [image.image for image in images], left_s)
        )
        try:
            reply = pool.ask(head, body, until=until, grace_s=self._grace_s)
        except WorkerEnded as error:
            raise Lost from error
        try:
            return results_of(decode_done(*reply), kind, len(images))
        except ValueError as error:
            raise EngineError(f"a worker process answers wrongly: {error}") from error

    def _pool(self, large: bool) -> ProcessPool:
        if not large:
            return self.quick
        with self._lock:
            if not self._large_started:
                self.large.start()
                self._large_started = True
        return self.large

    def close(self) -> None:
        """See `RungUpstream.close`."""
        self.quick.close()
        self.large.close()


def _command(settings: WorkerSettings) -> WorkerCommand:
    return WorkerCommand(
        "worker process",
        (sys.executable, "-m", "dc_gateway.upstreams.worker", settings.as_text()),
        no_python="The interpreter of this process is gone.",
        needs="",
        silent="no answer by its deadline",
    )


def _groups(images: Sequence[Shipped]) -> list[list[Shipped]]:
    """In order, each small enough for one message."""
    groups: list[list[Shipped]] = []
    size = 0
    for image in images:
        if not groups or size + len(image.image) > _MESSAGE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(image)
        size += len(image.image)
    return groups


def load_in_processes(config: GatewayConfig, tasks: Mapping[str, Task]) -> dict[str, LargeModel]:
    """As `load_models`, in `config.processes` worker processes. Raises HawkVisionError."""
    settings = WorkerSettings(
        str(config.model_repository.resolve()),
        config.engine,
        {name: task.version for name, task in tasks.items()},
        config.limits,
    )
    upstream = Processes(settings, config.processes, config.process_grace_s)
    told = upstream.start()
    first = config.first_rung
    return {
        name: RemoteModel(task, told, upstream, config.limits, first)
        for name, task in tasks.items()
    }
