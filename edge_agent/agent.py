"""The agent put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from functools import partial

from aiohttp import web
from prometheus_client.exposition import generate_latest

from edge_agent.chain import Chain
from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.fleet.fleet import Fleet, FleetSettings, Membership
from edge_agent.fleet.jobs import Jobs
from edge_agent.fleet.probes import GoldenProbes, Labelled
from edge_agent.grpc.door import door_of
from edge_agent.http.auth import AppKeys
from edge_agent.http.bodies import BodyReader
from edge_agent.http.connection import Connection
from edge_agent.http.connections import Book, Seat
from edge_agent.http.crew_control import LOAD, UNLOAD, CrewControl
from edge_agent.http.fast_path import FastPath
from edge_agent.http.handing import Handing
from edge_agent.http.listener import Listener
from edge_agent.http.log import SERVER_LOG
from edge_agent.http.routes import Entrance, Route, application
from edge_agent.http.siblings import Siblings
from edge_agent.http.streams import StreamRoutes
from edge_agent.loading import LocalSource, load_tasks
from edge_agent.local import LocalTask
from edge_agent.merging import snapshot
from edge_agent.metrics import AgentMetrics
from edge_agent.place import Place
from edge_agent.settings import (
    audit_settings,
    body_limits,
    connection_limits,
    stream_settings,
    upstream_settings,
)
from edge_agent.streams.registry import StreamRegistry
from edge_agent.table import routes_of
from edge_agent.upstream import GrpcUpstream
from edge_agent.watching import export, follow, watch
from hawkvision.errors import HawkVisionError, InvalidRequest, StoreUnavailable
from hawkvision.power import PowerSampler
from hawkvision.serving import memory, service
from hawkvision.serving.calls import CallsFailed
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.control import ModelControl
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.reloading import Hooks, Reloader
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.tls import server_context
from hawkvision.serving.tracing import tracing_of
from hawkvision.tracking.store import journals
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.registry import open_store

_log = logging.getLogger(__name__)
_EXPORT_S = 5.0
_PUSH_S = 1.0
"""Between two times that the parent is told the metrics of a worker that nobody scrapes."""

_REFRESH, _COUNT = "refresh", "count"
METRICS, METRICS_TEXT = "metrics.take", "metrics.text"
_ACCEPTED_S = 0.1
"""How long connections accepted last have to send their request, seconds."""

_SAID_S = 0.25
"""How long clients have to take the last answers, seconds; for each of two steps."""

_LINGER_S = 2.0
"""How long the rest of a refused body is read and dropped, so that the client sees why."""


class Agent:
    """A listening agent over loaded tasks; use it within one event loop.

    With a `place` it is one of several workers. Raises HawkVisionError for settings that cannot
    be: a store, keys, probes or TLS files, or several workers without a place.
    """

    def __init__(
        self, config: EdgeConfig, tasks: Mapping[str, LocalTask], place: Place | None = None
    ) -> None:
        if config.workers > 1 and place is None:
            raise InvalidRequest(
                "an agent inside a program is one process",
                hint="For several, run `hawkvision edge --workers N`.",
            )
        self.config = config
        self._place = place
        self.catalog = Catalog[LocalTask]()
        self.versions = Reloader(
            self.catalog,
            LocalSource(config, {name: len(one.rungs) for name, one in tasks.items()}),
            Hooks(self._prepare, partial(follow, self)),
            watch_s=config.watch_repository,
        )
        self.versions.begin_with(tasks)
        self.tasks = self.catalog.serving
        default = next(iter(self.tasks.values()))
        self._tls = server_context(config.tls_cert, config.tls_key)
        self.keys = AppKeys.read(config.app_keys)
        labelled = Labelled.read(default.task, config.probes) if config.probes else None
        self.metrics = AgentMetrics()
        self.jobs = Jobs(self.metrics.job_failed)
        self.pool = WorkerPool(config.pool_threads, config.max_queue, asyncio.get_running_loop())
        self.upstream = GrpcUpstream(
            config.gateways, config.max_escalations, upstream_settings(config)
        )
        self.chain = Chain(self.pool, self.upstream)
        self.fleet = Fleet(
            self.tasks,
            open_store(config.store, most_apps=config.max_apps) if place is None else place.store,
            Journal(config.journal),
            self.jobs,
            self.chain.aside,
            FleetSettings(
                audit_settings(config.audit_share),
                control=config.control,
                tracked=config.store != "off",
                every_s=config.tracking_interval_s,
            ),
            member=None
            if place is None
            else Membership(place.agent_id, place.key, place.counters, self._tell_refresh),
        )
        self.siblings = (
            None
            if place is None
            else Siblings(
                place,
                {
                    _REFRESH: lambda _: self._read_apps(),
                    _COUNT: lambda _: self._push_metrics(),
                    LOAD: self.versions.load,
                    UNLOAD: self.versions.unload,
                },
            )
        )
        self._tracing = tracing_of(config.otlp_endpoint, config.trace_share, "hawkvision-edge")
        self.classifier = Classifier(
            self.tasks,
            self.pool,
            self.chain,
            self.metrics,
            self.fleet,
            config.deadline_ms,
            self._tracing,
        )
        self.probes = (
            GoldenProbes(
                lambda: self.classifier.default,
                labelled,
                lambda local, image: self.pool.submit(local.answer, image),
                self.chain.aside,
                self.fleet.counters.add,
                self.metrics.probed,
            )
            if labelled is not None and (place is None or place.index == 0)
            else None
        )
        self.streams = StreamRegistry(self.classifier, stream_settings(config), place)
        self.bodies = BodyReader(body_limits(config))
        self.connections = Book(connection_limits(config))
        self.entrance = Entrance(self.keys, self.metrics)
        self.power = PowerSampler.of_machine()
        self.rpc = door_of(
            config, self.classifier, self._control(), self.keys, self.metrics, place is not None
        )
        self.routes = self._table()
        self._fast = FastPath(self.classifier, self.bodies, self.keys, self.entrance)
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._port = config.port
        self.grpc_port = config.grpc_port
        watch(self, whole_machine=place is None or place.index == 0)

    def _table(self) -> list[Route]:
        self._of_streams = StreamRoutes(self.streams, self.bodies, self.keys).table()
        streams = self._of_streams
        if self.siblings is not None:
            streams = self.siblings.of_streams(streams)
        return [*routes_of(self, self._control(), self._scrape), *streams]

    # New versions.

    def _control(self) -> ModelControl:
        """What load and unload act on: this worker and all others."""
        if self.siblings is None or self._place is None:
            return self.versions
        return CrewControl(self.versions, self.siblings, self._place)

    def _prepare(self, local: LocalTask) -> None:
        self.streams.prepare(local)

    def reload(self) -> None:
        """Begin to look for new versions of everything that is served."""
        self.versions.look()

    # Of several workers.

    async def _scrape(self) -> bytes:
        """The metrics, of all workers where there are several. Raises StoreUnavailable."""
        if self._place is None or self.siblings is None:
            return await asyncio.to_thread(generate_latest, self.metrics.registry)
        await asyncio.gather(self.siblings.tell(_COUNT), self._push_metrics())
        try:
            return str(await self._place.calls.call(METRICS_TEXT)).encode()
        except CallsFailed as error:
            raise StoreUnavailable(f"the workers' metrics: {error}") from error

    async def _push_metrics(self) -> None:
        """Tell the parent what this worker counts."""
        if self._place is not None:
            told = await asyncio.to_thread(snapshot, self.metrics.registry)
            with contextlib.suppress(CallsFailed):
                await self._place.calls.call(METRICS, [self._place.index, os.getpid(), told])

    async def _tell_refresh(self) -> None:
        if self.siblings is not None:
            await self.siblings.tell(_REFRESH)

    async def _read_apps(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self.fleet.read_apps()

    @property
    def url(self) -> str:
        """Where clients reach it, e.g. `http://127.0.0.1:8080`; right once it has started."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{scheme}://{host}:{self._port}"

    address = url

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        names = ", ".join(self.tasks)
        rpc = "" if self.rpc is None else f"; gRPC on port {self.grpc_port}"
        return (
            f"edge agent ready on {self.url} "
            f"(tasks: {names}; lossy streams on UDP {self.streams.port}{rpc})"
        )

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        config = self.config
        self._runner = web.AppRunner(
            application(self.routes, self.entrance),
            access_log=None,
            logger=SERVER_LOG,
            handle_signals=False,
            shutdown_timeout=_SAID_S,
        )
        await self._runner.setup()
        handing = None if self._place is None else Handing(self._place)
        self._listener = Listener(self.connections, self._connection, self._tls, handing)
        if self._place is None:
            await self._listen()
        else:
            await self._listen_at(self._place)
        await self._listen_rpc()
        self.fleet.start(self.url)
        self.power.start()
        if self.probes is not None:
            self.jobs.repeat("probes", self.probes.probe, config.probe_every_s)
        self.jobs.repeat("export", partial(export, self), _EXPORT_S)
        gives_back = memory.GivesBack()
        self.jobs.repeat("memory", gives_back.look, memory.EVERY_S)
        for name, local in self.tasks.items():
            for rung in local.rungs:
                _log.info("task %s, %s", name, rung)
        self.versions.start()
        return self._port

    async def _listen_at(self, place: Place) -> None:
        """Where the parent says, once the other workers can reach this one."""
        assert self.siblings is not None and self._listener is not None
        named = [route for route in self._of_streams if "{id}" in route.path]
        await self.siblings.start(named, self.entrance)
        await self._read_apps()
        await self.streams.listen(place.rtp)
        self._port = int(place.http[0].getsockname()[1])
        self._listener.listen(place.http)
        self.jobs.repeat("metrics", self._push_metrics, _PUSH_S)

    async def _listen(self) -> None:
        config = self.config
        assert self._listener is not None
        try:
            self._port = await self._listener.start(config.host, config.port)
        except OSError as error:
            raise HawkVisionError(
                f"cannot listen on {config.host}:{config.port}: {error.strerror or error}",
                hint="Choose another --port, or stop what holds it.",
            ) from error
        rtp_port = self._port if config.rtp_port is None else config.rtp_port
        await self.streams.bind(config.host, rtp_port, exact=config.rtp_port is not None)

    async def _listen_rpc(self) -> None:
        if self.rpc is not None and self.config.grpc_port is not None:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            self.grpc_port = await self.rpc.start(f"{host}:{self.config.grpc_port}")

    def _connection(self, seat: Seat) -> Connection:
        assert self._runner is not None and self._runner.server is not None
        return Connection(
            self._runner.server,
            seat,
            self.metrics.refused,
            loop=asyncio.get_running_loop(),
            fast=self._fast,
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGER_S,
        )

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self.entrance.draining = True
        if self.rpc is not None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drain_http())
                group.create_task(
                    self.rpc.drain(self.config.drain_notice_s, self.config.drain_timeout_s)
                )
        else:
            await self._drain_http()

    async def _drain_http(self) -> None:
        await asyncio.sleep(self.config.drain_notice_s)
        self.streams.close()
        if self._listener is not None:
            self._listener.stop()
        await asyncio.sleep(_ACCEPTED_S)
        if self._listener is not None:
            self._listener.close_silent()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.drain_timeout_s):
                await self.entrance.idle.wait()

    async def close(self) -> None:
        """Stop; who still waits for an answer is told that there will be none."""
        await self.versions.close()
        self.streams.close()
        self.entrance.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SAID_S):
                await self.entrance.idle.wait()
        if self._listener is not None:
            self._listener.stop()
            self._listener.dismiss()
        if self.rpc is not None:
            await self.rpc.close()
        if self.siblings is not None:
            await self.siblings.close()
        await asyncio.gather(self._hang_up(), self.fleet.close())
        await self.upstream.close()
        self.pool.close()
        self.power.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    async def _hang_up(self) -> None:
        """End all connections, after a moment in which clients take the last answers."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._listener is not None:
            self._listener.close()


async def serve(config: EdgeConfig, tasks: Mapping[str, LocalTask]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Agent(config, tasks))


def run(config: EdgeConfig) -> None:
    """Load the tasks and serve. Raises HawkVisionError."""
    if config.journal is not None:
        journals.gather(config.journal, 0)
    service.run(serve(config, load_tasks(config)))


SERVICE = ServiceKind(EdgeConfig, load_tasks, Agent)
