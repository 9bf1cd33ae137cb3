"""The agent put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.fleet.delivered import WINDOWS
from edge_agent.fleet.fleet import Fleet, FleetSettings
from edge_agent.fleet.gauges import gauges_of
from edge_agent.fleet.jobs import Jobs
from edge_agent.fleet.probes import GoldenProbes, Labelled
from edge_agent.http.auth import AppKeys
from edge_agent.http.bodies import BodyLimits, BodyReader
from edge_agent.http.classify import ClassifyRoutes
from edge_agent.http.connection import Connection
from edge_agent.http.connections import Book, ConnectionLimits, Seat
from edge_agent.http.delivered import AccuracyRoutes
from edge_agent.http.health import HealthRoutes
from edge_agent.http.listener import Listener
from edge_agent.http.log import SERVER_LOG
from edge_agent.http.routes import Entrance, Route, application
from edge_agent.http.streams import StreamRoutes
from edge_agent.http.tasks import TaskRoutes
from edge_agent.loading import load_tasks
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.streams.registry import StreamRegistry, StreamSettings
from edge_agent.streams.room import StreamRoom
from edge_agent.upstream import Answered, Call, GrpcUpstream
from hawkvision.engines import Measuring
from hawkvision.errors import HawkVisionError
from hawkvision.images.budget import BUDGET
from hawkvision.lossy.assembler import AssemblyLimits
from hawkvision.serving import descriptors, memory, service
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.tls import server_context
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.registry import open_store
from hawkvision.tracking.trust import vouched

_log = logging.getLogger(__name__)
_EXPORT_S = 5.0
_ASIDE_S = 2.0
"""So long an audit or a probe waits for the data center, seconds."""

_ACCEPTED_S = 0.1
"""How long connections accepted last have to send their request, seconds."""

_SAID_S = 0.25
"""How long clients have to take the last answers, seconds; for each of two steps."""

_LINGER_S = 2.0
"""How long the rest of a refused body is read and dropped, so that the client sees why."""


class Agent:
    """A listening agent over loaded tasks; use it within one event loop.

    Raises HawkVisionError for settings that cannot be: a store, keys, probes or TLS files.
    """

    def __init__(self, config: EdgeConfig, tasks: Mapping[str, LocalTask]) -> None:
        self.config = config
        self.tasks = dict(tasks)
        default = next(iter(self.tasks.values()))
        self._tls = server_context(config.tls_cert, config.tls_key)
        self.keys = AppKeys.read(config.app_keys)
        labelled = Labelled.read(default.task, config.probes) if config.probes else None
        self.metrics = AgentMetrics()
        self.jobs = Jobs(self.metrics.job_failed)
        self.fleet = Fleet(
            self.tasks,
            open_store(config.store, most_apps=config.max_apps),
            Journal(config.journal),
            self.jobs,
            self._ask_aside,
            FleetSettings(
                audit_settings(config.audit_share),
                control=config.control,
                tracked=config.store != "off",
                every_s=config.tracking_interval_s,
            ),
        )
        self.pool = WorkerPool(config.workers, config.max_queue, asyncio.get_running_loop())
        self.upstream = GrpcUpstream(config.gateway, config.max_escalations)
        self.classifier = Classifier(
            self.tasks, self.pool, self.upstream, self.metrics, self.fleet, config.deadline_ms
        )
        self.probes = (
            GoldenProbes(
                default,
                labelled,
                lambda image: self.pool.submit(default.answer, image),
                self._ask_aside,
                self.fleet.counters.add,
                self.metrics.probed,
            )
            if labelled is not None
            else None
        )
        self.streams = StreamRegistry(self.classifier, _stream_settings(config))
        self.bodies = BodyReader(_body_limits(config))
        self.connections = Book(_connection_limits(config))
        self.entrance = Entrance(self.keys, self.metrics)
        self.routes = self._table()
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._port = config.port
        self._watch()

    def _table(self) -> list[Route]:
        return [
            *ClassifyRoutes(self.classifier, self.bodies, self.metrics, self.keys).table(),
            *TaskRoutes(self.classifier, self.config.delta).table(),
            *HealthRoutes(self.classifier, self.metrics, self.entrance).table(),
            *AccuracyRoutes(self.classifier, self.fleet, self.bodies, self.keys).table(),
            *StreamRoutes(self.streams, self.bodies, self.keys).table(),
        ]

    def _watch(self) -> None:
        counts = self.metrics.watch_counts
        totals = self.streams.totals
        counts(
            "hawkvision_stream_frames",
            "Frames of lossy streams by what became of them, or the error's code.",
            "outcome",
            lambda: totals.frames,
        )
        counts(
            "hawkvision_stream_packets",
            "Packets of lossy streams by what became of them.",
            "what",
            self.streams.packets,
        )
        counts(
            "hawkvision_stream_advice",
            "Reasons for advice in lossy streams (packets or frames), by its code.",
            "code",
            lambda: totals.advice,
        )
        counts("hawkvision_streams_ended", "Lossy streams ended.", "reason", lambda: totals.ended)
        counts(
            "hawkvision_connections_refused",
            "HTTP connections refused: no room in total, for a peer, or no descriptor.",
            "reason",
            lambda: self.connections.refused,
        )
        counts(
            "hawkvision_connections_ended",
            "HTTP connections that the agent ended before their clients did.",
            "reason",
            lambda: self.connections.ended,
        )
        for name, local in self.tasks.items():
            self.metrics.running(name, local.rung)
            if isinstance(local.engine, Measuring):
                self.metrics.watch_engine(name, local.engine)
        for name, text, read in (
            ("streams", "Lossy streams open.", lambda: self.streams.open_streams),
            (
                "stream_datagrams_unknown",
                "Datagrams that belong to no lossy stream.",
                lambda: self.streams.unknown,
            ),
            ("queue_images", "Images waiting or at work.", lambda: self.pool.pending),
            ("connections", "HTTP connections open.", lambda: self.connections.open),
            ("body_bytes", "Bytes of request bodies held.", lambda: self.bodies.held),
            (
                "gateway_breaker_open",
                "1 while escalations are held back.",
                lambda: self.upstream.held_back,
            ),
        ):
            self.metrics.watch(f"hawkvision_{name}", text, read)

    async def _ask_aside(self, local: LocalTask, image: bytes, what: str) -> Any | None:
        """What the data center says of an image that no client waits for."""
        due = time.monotonic() + _ASIDE_S
        reply = await self.upstream.ask(Call(local.task, image, due, what, background=True))
        return reply.prediction if isinstance(reply, Answered) else None

    async def _export(self) -> None:
        """Put what the fleet delivered in the last 5 minutes into the gauges."""
        window = {"5m": WINDOWS["5m"]}
        for task in self.tasks:
            found = await self.fleet.delivered(task, lambda _key: True, window)
            self.metrics.set_accuracy(task, gauges_of(found))
            for app in self.keys.apps:
                counted = vouched(app)
                found = await self.fleet.delivered(task, partial(_of_app, counted), window, counted)
                self.metrics.set_accuracy(task, gauges_of(found), app)

    @property
    def url(self) -> str:
        """Where clients reach it, e.g. `http://127.0.0.1:8080`; right once it has started."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{scheme}://{host}:{self._port}"

    @property
    def address(self) -> str:
        """As `url`."""
        return self.url

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        names = ", ".join(self.tasks)
        return (
            f"edge agent ready on {self.url} "
            f"(tasks: {names}; lossy streams on UDP {self.streams.port})"
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
        self._listener = Listener(self.connections, self._connection, self._tls)
        try:
            self._port = await self._listener.start(config.host, config.port)
        except OSError as error:
            raise HawkVisionError(
                f"cannot listen on {config.host}:{config.port}: {error.strerror or error}",
                hint="Choose another --port, or stop what holds it.",
            ) from error
        rtp_port = self._port if config.rtp_port is None else config.rtp_port
        await self.streams.bind(config.host, rtp_port, exact=config.rtp_port is not None)
        self.fleet.start(self.url)
        if self.probes is not None:
            self.jobs.repeat("probes", self.probes.probe, config.probe_every_s)
        self.jobs.repeat("export", self._export, _EXPORT_S)
        gives_back = memory.GivesBack(lambda: self.bodies.freed + BUDGET.freed)
        self.jobs.repeat("memory", gives_back.look, memory.EVERY_S)
        for name, local in self.tasks.items():
            _log.info("task %s, %s", name, local.rung)
        return self._port

    def _connection(self, seat: Seat) -> Connection:
        assert self._runner is not None and self._runner.server is not None
        return Connection(
            self._runner.server,
            seat,
            self.metrics.refused,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGER_S,
        )

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self.entrance.draining = True
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
        self.streams.close()
        self.entrance.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SAID_S):
                await self.entrance.idle.wait()
        if self._listener is not None:
            self._listener.stop()
            self._listener.dismiss()
        await asyncio.gather(self._hang_up(), self.fleet.close())
        await self.upstream.close()
        self.pool.close()

    async def _hang_up(self) -> None:
        """End all connections, after a moment in which clients take the last answers."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._listener is not None:
            self._listener.close()


def _of_app(counted: str, key: CountKey) -> bool:
    return key.app == counted


def audit_settings(share: float) -> AuditSettings:
    """A base share, and three times as much for a while after a shift alarm."""
    return AuditSettings(base=share, boosted=min(0.5, 3 * share))


def _body_limits(config: EdgeConfig) -> BodyLimits:
    return BodyLimits(
        max_body=config.max_body_bytes,
        max_held=config.max_buffered_bytes,
        timeout_s=config.body_timeout_s,
        least_rate=config.body_least_rate,
        max_batch=config.max_batch,
    )


def _connection_limits(config: EdgeConfig) -> ConnectionLimits:
    return ConnectionLimits.fitting(
        descriptors.limit(),
        config.max_connections,
        config.max_connections_per_peer,
        head_s=config.head_timeout_s,
        idle_s=config.idle_timeout_s,
        write_s=config.write_timeout_s,
    )


def _stream_settings(config: EdgeConfig) -> StreamSettings:
    most = AssemblyLimits()
    return StreamSettings(
        StreamRoom(config.max_streams, config.max_streams_per_peer, config.max_streams_per_app),
        config.stream_idle_s,
        config.rtp_address,
        AssemblyLimits(
            max_bytes=min(most.max_bytes, config.limits.max_bytes),
            max_pixels=min(most.max_pixels, config.limits.max_pixels),
        ),
    )


async def serve(config: EdgeConfig, tasks: Mapping[str, LocalTask]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Agent(config, tasks))


def run(config: EdgeConfig) -> None:
    """Load the tasks and serve. Raises HawkVisionError."""
    service.run(serve(config, load_tasks(config)))


SERVICE = ServiceKind(EdgeConfig, load_tasks, Agent)
