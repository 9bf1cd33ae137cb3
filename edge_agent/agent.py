"""The agent put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from functools import partial

from prometheus_client.exposition import generate_latest

from edge_agent.chain import Chain
from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.dashboard.dashboard import Dashboard
from edge_agent.exporting import Exporting
from edge_agent.fleet.fleet import Membership
from edge_agent.fleet.jobs import Jobs
from edge_agent.fleet.probes import GoldenProbes, Labelled
from edge_agent.grpc.door import door_of
from edge_agent.grpc.servicer import EdgeServicer
from edge_agent.http.crew_control import LOAD, UNLOAD, CrewControl
from edge_agent.http.fast_path import FastPath
from edge_agent.http.handing import Handing
from edge_agent.http.siblings import Siblings
from edge_agent.http.streams import StreamRoutes
from edge_agent.loading import LocalSource, load_tasks
from edge_agent.local import LocalTask
from edge_agent.merging import latest, snapshot
from edge_agent.metrics import AgentMetrics
from edge_agent.place import Place
from edge_agent.settings import (
    body_limits,
    connection_limits,
    fleet_settings,
    guard_of,
    open_the_store,
    stream_settings,
    upstream_settings,
)
from edge_agent.streams.registry import StreamRegistry
from edge_agent.table import routes_of
from edge_agent.tls import AgentTls
from edge_agent.updating import catalog_of, fleet_of, source_of, updates_of
from edge_agent.upstream import GrpcUpstream
from edge_agent.watching import follow, keep_watch, prepare, watch
from hawkvision.errors import InvalidRequest, StoreUnavailable
from hawkvision.power import PowerSampler
from hawkvision.serving import service
from hawkvision.serving.address import bracketed
from hawkvision.serving.calls import CallsFailed
from hawkvision.serving.control import ModelControl
from hawkvision.serving.grpc.inference import InferenceService
from hawkvision.serving.http.bodies import BodyReader, Bytes
from hawkvision.serving.http.connections import Book
from hawkvision.serving.http.door import DoorParts, HttpDoor
from hawkvision.serving.http.routes import Entrance, Route, application
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.reloading import Hooks, Reloader
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.tracing import tracing_of
from hawkvision.tracking.store import journals
from hawkvision.tracking.store.journal import Journal

_log = logging.getLogger(__name__)
_PUSH_S = 1.0
"""Between two times that the parent is told the metrics of a worker that nobody scrapes."""

_REFRESH, _COUNT, METRICS, METRICS_TEXT = "refresh", "count", "metrics.take", "metrics.text"


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
        self.updates = updates_of(config, place)
        self.catalog = catalog_of(self.updates)
        source = LocalSource(config, {name: len(one.rungs) for name, one in tasks.items()})
        self.versions = Reloader(
            self.catalog,
            source_of(self.updates, source),
            Hooks(partial(prepare, self), partial(follow, self)),
            watch_s=config.watch_repository,
        )
        self.versions.begin_with(tasks)
        self.tasks = self.catalog.serving
        default = next(iter(self.tasks.values()))
        self.tls = AgentTls(config)
        self.guard = guard_of(config, place)
        labelled = Labelled.read(default.task, config.probes) if config.probes else None
        self.metrics = AgentMetrics()
        self.jobs = Jobs(self.metrics.job_failed)
        self.pool = WorkerPool(config.pool_threads, config.max_queue, asyncio.get_running_loop())
        self.upstream = GrpcUpstream(
            config.gateways, config.max_escalations, upstream_settings(config), self.tls.dialer
        )
        self.chain = Chain(self.pool, self.upstream)
        self.fleet = fleet_of(self.updates)(
            self.tasks,
            self.tls.renews(open_the_store(config) if place is None else place.store),
            Journal(config.journal),
            self.jobs,
            self.chain.aside,
            fleet_settings(config),
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
        self.bodies = BodyReader(body_limits(config), Bytes(config.max_buffered_bytes))
        self.connections = Book(connection_limits(config))
        self.entrance = Entrance(self.guard, self.metrics.refused, config.cors_origins)
        self.power = PowerSampler.of_machine()
        self.exporting = Exporting(self)
        self.dashboard = Dashboard(self, place) if config.dashboard else None
        self.service: InferenceService = EdgeServicer(
            self.classifier, self._control(), self.guard, config.max_batch, self.metrics.refused
        )
        self.rpc = door_of(
            config, self.service, self.tasks, self.tls.server, shared=place is not None
        )
        self.routes = self._table()
        self.door = HttpDoor(
            application(self.routes, self.entrance, "POST images to /v1/classify."),
            self.entrance,
            self.connections,
            self.metrics.refused,
            DoorParts(
                self.tls.context,
                None if place is None else Handing(place),
                FastPath(self.classifier, self.bodies, self.guard, self.entrance),
            ),
        )
        self._port = config.port
        self.grpc_port = config.grpc_port
        watch(self, whole_machine=place is None or place.index == 0)

    def _table(self) -> list[Route]:
        own, others = StreamRoutes(self.streams, self.bodies).table(), self.siblings
        self._of_streams = own
        streams = own if others is None else others.of_streams(own)
        return routes_of(self, self._scrape, streams)

    # New versions.

    def _control(self) -> ModelControl:
        """What load and unload act on: this worker and all others."""
        if self.siblings is None or self._place is None:
            return self.versions
        return CrewControl(self.versions, self.siblings, self._place)

    def reload(self) -> None:
        """Begin to look for new versions of all that is served, new certificates and new keys."""
        self.tls.renewal.now()
        self.versions.look()
        self.guard.reload(self.jobs)

    # Of several workers.

    async def _scrape(self) -> bytes:
        """The metrics, of all workers where there are several. Raises StoreUnavailable."""
        await self.exporting.look()
        if self._place is None or self.siblings is None:
            return await asyncio.to_thread(generate_latest, self.metrics.registry)
        await asyncio.gather(self.siblings.tell(_COUNT), self._push_metrics())
        try:
            read = latest(self.metrics.registry)
            return str(await self._place.calls.call(METRICS_TEXT, read)).encode()
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
        scheme = "http" if self.tls.server is None else "https"
        return f"{scheme}://{bracketed(self.config.host)}:{self._port}"

    address = url

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        rpc = "" if self.rpc is None else f"; gRPC on port {self.grpc_port}"
        return (
            f"edge agent ready on {self.url} "
            f"(tasks: {', '.join(self.tasks)}; lossy streams on UDP {self.streams.port}{rpc})"
        )

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        await self.door.open()
        if self._place is None:
            await self._listen()
        else:
            await self._listen_at(self._place)
        await self._listen_rpc()
        self.fleet.start(self.url)
        self.power.start()
        if self.probes is not None:
            self.jobs.repeat("probes", self.probes.probe, self.config.probe_every_s)
        keep_watch(self)
        for name, local in self.tasks.items():
            for rung in local.rungs:
                _log.info("task %s, %s", name, rung)
        self.versions.start()
        self.tls.renewal.start()
        if self.updates is not None:
            self.updates.start(self, self._control())
        return self._port

    async def _listen_at(self, place: Place) -> None:
        """Where the parent says, once the other workers can reach this one."""
        assert self.siblings is not None
        named = [route for route in self._of_streams if "{id}" in route.path]
        await self.siblings.start(named, self.entrance)
        await self._read_apps()
        await self.streams.listen(place.rtp)
        self._port = int(place.http[0].getsockname()[1])
        self.door.listen(place.http)
        self.jobs.repeat("metrics", self._push_metrics, _PUSH_S)

    async def _listen(self) -> None:
        config = self.config
        self._port = await self.door.start(config.host, config.port, "--port")
        rtp_port = self._port if config.rtp_port is None else config.rtp_port
        await self.streams.bind(config.host, rtp_port, exact=config.rtp_port is not None)

    async def _listen_rpc(self) -> None:
        if self.rpc is not None and self.config.grpc_port is not None:
            host = bracketed(self.config.host)
            self.grpc_port = await self.rpc.start(f"{host}:{self.config.grpc_port}")

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self.entrance.draining = self.service.draining = True
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
        await self.door.drain(self.config.drain_timeout_s)

    async def close(self) -> None:
        """Stop; who still waits for an answer is told that there will be none."""
        await self.tls.renewal.close()
        await self.versions.close()
        self.streams.close()
        await self.door.refuse()
        if self.rpc is not None:
            await self.rpc.close()
        if self.siblings is not None:
            await self.siblings.close()
        await asyncio.gather(self.door.hang_up(), self.fleet.close())
        await self.upstream.close()
        self.pool.close()
        self.power.close()
        await asyncio.to_thread(self.guard.audit.close)
        if self.updates is not None:
            self.updates.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)


async def serve(config: EdgeConfig, tasks: Mapping[str, LocalTask]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Agent(config, tasks))


def run(config: EdgeConfig) -> None:
    """Load the tasks and serve. Raises HawkVisionError."""
    if config.journal is not None:
        journals.gather(config.journal, 0)
    service.run(serve(config, load_tasks(config)))


SERVICE = ServiceKind(EdgeConfig, load_tasks, Agent)
