"""`hawkvision edge --workers N`: the parent of N agents, and what they share.

The parent answers no request. It loads the tasks, so that forked workers share their memory; keeps
the ports; holds the store where that is memory, the counts that are not in a journal yet, and what
workers that ended had counted for Prometheus.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import mmap
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.agent import METRICS, METRICS_TEXT, Agent
from edge_agent.config import EdgeConfig
from edge_agent.dashboard import keeping
from edge_agent.http.crew_control import CHANGED
from edge_agent.loading import load_tasks
from edge_agent.local import LocalTask
from edge_agent.merging import Merged
from edge_agent.place import NOT_THERE, Place, board, shared_meters
from edge_agent.settings import open_the_store
from edge_agent.workers.preloading import preload
from hawkvision.errors import HawkVisionError, StoreUnavailable
from hawkvision.serving import descriptors, logs, service
from hawkvision.serving.calls import Caller, CallServer
from hawkvision.serving.ports import SPREADS, SharedPort
from hawkvision.serving.service import Service
from hawkvision.serving.supervisor import ALIVE_S, Line, Told, supervise
from hawkvision.tracking.store import journals
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.kept import KeptCounters, shared_memory
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.registry import ALONE
from hawkvision.tracking.store.served import ServedStore, StoreService

_log = logging.getLogger(__name__)
_PARENT = "parent.sock"


def run(config: EdgeConfig) -> None:
    """Serve with `config.workers` processes until a signal says to stop. Raises HawkVisionError."""
    descriptors.raise_limit()
    supervise(config.workers, EdgeCrew(config))


class EdgeCrew:
    """See `Crew`. Raises HawkVisionError for tasks that cannot be loaded."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config
        self._alone = config.store in ALONE
        self._tasks: dict[str, LocalTask] | None = preload(config.of_worker())
        self._stem, self._key = secrets.token_hex(5), secrets.token_bytes(32)
        self._unloaded: set[str] = set()
        self._counts: list[mmap.mmap] = []
        self._board = board(config.workers)
        self._meters = shared_meters()
        self._http: SharedPort | None = None
        self._rtp: SharedPort | None = None
        self._grpc: SharedPort | None = None
        self._calls: CallServer | None = None
        self._folder = Path()
        self._metrics = Merged()

    async def start(self) -> None:
        """See `Crew`."""
        config = self._config
        self._http = _port(SharedPort.tcp, config.host, config.port, "", "--port")
        self._rtp = self._rtp_port(self._http.port)
        if config.grpc_port is not None:
            self._grpc = self._grpc_port(config.grpc_port)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="hawkvision-"))
        except OSError as error:
            raise _no_folder(error) from error
        self._counts = [shared_memory() for _ in range(config.workers)]
        if config.journal is not None:
            journals.gather(config.journal, config.workers)
        handlers: dict[str, Any] = {
            METRICS: self._take_metrics,
            METRICS_TEXT: self._metrics_text,
            CHANGED: self._tasks_changed,
            **keeping.handlers(config.dashboard_images),
        }
        if self._alone:
            store = MemoryStore(most_apps=config.max_apps)
            handlers |= StoreService(store).handlers()
        self._calls = CallServer(handlers)
        try:
            await self._calls.start(self._folder / _PARENT)
        except OSError as error:  # also where the path is too long for a socket
            raise _no_folder(error) from error
        gc.collect()
        gc.freeze()  # what no collection touches stays shared with the workers

    def _grpc_port(self, port: int) -> SharedPort:
        """Kept for the workers, whose gRPC opens sockets of its own on it."""
        if not SPREADS:
            raise HawkVisionError(
                "several workers cannot share a gRPC port on this system",
                hint="Leave --grpc-port out, or run one worker.",
            )
        return _port(SharedPort.tcp, self._config.host, port, "", "--grpc-port")

    def _rtp_port(self, http_port: int) -> SharedPort:
        config = self._config
        if config.rtp_port is not None:
            return _port(SharedPort.udp, config.host, config.rtp_port, "UDP ", "--rtp-port")
        try:
            return SharedPort.udp(config.host, http_port)
        except OSError:
            return _port(SharedPort.udp, config.host, 0, "UDP ", "--rtp-port")

    async def _take_metrics(self, told: Any) -> None:
        self._metrics.take(*told)

    async def _metrics_text(self, read: Any) -> str:
        return self._metrics.text(read)

    async def _tasks_changed(self, told: Any) -> None:
        name, serves = told
        (self._unloaded.discard if serves else self._unloaded.add)(name)
        self.hung_up()

    def hung_up(self) -> None:
        """See `Crew`: what was loaded before the workers began is not the newest any more."""
        self._tasks = None

    # In a worker.

    def work(self, index: int, line: Line, parent: int) -> None:
        """See `Crew`."""
        logs.speak_as(index)
        config = replace(
            self._config.of_worker(),
            journal=self._journal(index),
            grpc_port=None if self._grpc is None else self._grpc.port,
        )
        tasks = load_tasks(config) if self._tasks is None else self._tasks
        self._tasks = None  # so that what a new version replaces is freed
        began = os.getppid()
        try:
            service.run(self._serve(index, config, tasks, line, parent))
        finally:
            if os.getppid() != began:  # the parent cannot tidy up any more
                shutil.rmtree(self._folder, ignore_errors=True)

    def _journal(self, index: int) -> Path | None:
        """Each worker's own, in a file in any case: batches outlive a worker that is killed."""
        if self._config.store == "off":
            return None
        return journals.journal_of(self._config.journal or self._folder / "journal.db", index)

    async def _serve(
        self,
        index: int,
        config: EdgeConfig,
        tasks: dict[str, LocalTask],
        line: Line,
        parent: int,
    ) -> None:
        assert self._http is not None and self._rtp is not None
        caller = Caller(self._folder / _PARENT)
        place = Place(
            index=index,
            count=config.workers,
            agent_id=f"{self._stem}-{index}",
            key=self._key,
            store=ServedStore(caller) if self._alone else open_the_store(config),
            counters=KeptCounters(self._counts[index]),
            calls=caller,
            folder=self._folder,
            http=self._http.open(),
            rtp=self._rtp.open()[0],
            board=self._board,
            meters=self._meters,
        )

        agent = Agent(config, tasks, place)
        tasks.clear()

        for name in self._unloaded & set(agent.tasks):
            await agent.versions.unload(name)

        async def alive() -> None:
            line.alive()

        def say(_agent: Service) -> None:
            line.ready({"line": agent.ready_line})
            agent.reload()  # a version may have come since the tasks were loaded
            agent.jobs.repeat("alive", alive, ALIVE_S)

        try:
            await service.serve(agent, ready=say, parent=parent)
        finally:
            await caller.close()

    # In the parent.

    def descriptors(self) -> Iterable[int]:
        """See `Crew`."""
        for one in (self._http, self._rtp, self._grpc, self._calls):
            if one is not None:
                yield from one.descriptors()

    def all_ready(self, told: Told) -> None:
        """See `Crew`: one line for all of them."""
        if self._rtp is not None:
            self._rtp.workers_hold()
        line = str(told["line"]).removesuffix(")")
        print(f"{line}; {self._config.workers} workers)", flush=True)

    def started(self, index: int) -> None:
        """See `Crew`."""
        self._metrics.started(index)

    def ended(self, index: int, cause: str) -> None:
        """See `Crew`."""
        self._board[index] = NOT_THERE
        self._metrics.ended(index, cause)

    async def close(self) -> None:
        """See `Crew`."""
        if self._calls is not None:
            await self._calls.close()
        for port in (self._http, self._rtp, self._grpc):
            if port is not None:
                port.close()
        if not self._alone:
            self._keep_counts()
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _keep_counts(self) -> None:
        """Of workers that did not end in peace: what they counted into their journals."""
        lost = 0
        for index, memory in enumerate(self._counts):
            counters, path = KeptCounters(memory), self._journal(index)
            left = [*counters.left, *filter(None, [counters.take(time.time())])]
            if path is None or not (left or path.exists()):
                continue
            with contextlib.suppress(StoreUnavailable):
                journal = Journal(path)
                for batch in left:
                    journal.append(batch)
                lost += len(journal) if self._config.journal is None else 0
                journal.close()
        if lost:
            _log.warning("%d batches of counts are lost: no --journal could keep them", lost)


def _no_folder(error: OSError) -> HawkVisionError:
    return HawkVisionError(
        f"workers need a temporary folder for their sockets: {error.strerror or error}",
        hint="Set TMPDIR to a folder that can be written to, with a short path.",
    )


def _port(
    make: Callable[[str, int], SharedPort], host: str, port: int, kind: str, option: str
) -> SharedPort:
    try:
        return make(host, port)
    except OSError as error:
        raise HawkVisionError(
            f"cannot listen on {kind}{host}:{port}: {error.strerror or error}",
            hint=f"Choose another {option}, or stop what holds it.",
        ) from error
