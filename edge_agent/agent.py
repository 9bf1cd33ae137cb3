"""Put the agent together, serve, and drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.fleet.probes import GoldenProbes
from edge_agent.fleet.tracking import Tracking
from edge_agent.http.auth import AppKeys
from edge_agent.http.bodies import BodyReader
from edge_agent.http.delivered import AccuracyRoutes, export
from edge_agent.http.routes import Routes
from edge_agent.http.streams import StreamRoutes
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.streams.registry import StreamRegistry, StreamSettings
from edge_agent.upstream import GrpcUpstream, Upstream
from hawkvision.engines import Measuring
from hawkvision.errors import HawkVisionError, RepositoryError
from hawkvision.lossy.assembler import AssemblyLimits
from hawkvision.repository import Repository
from hawkvision.serving.event_loop import new_event_loop
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.tls import server_context
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore

_log = logging.getLogger(__name__)
_PREFERRED_DEFAULT = "roadsigns"
_EXPORT_S = 5.0
STREAM_LIMITS = AssemblyLimits()
_ACCEPTED_S = 0.1
"""How long connections accepted last have to send their request, seconds."""


def load_tasks(config: EdgeConfig) -> dict[str, LocalTask]:
    """Open every wanted task, the default one first. Raises HawkVisionError."""
    repository = Repository(config.model_repository)
    names = list(config.tasks) or repository.tasks()
    if not names:
        raise RepositoryError(
            f"no tasks in {config.model_repository}", hint="See `hawkvision models list`."
        )
    if not config.tasks and _PREFERRED_DEFAULT in names:
        names.sort(key=lambda name: name != _PREFERRED_DEFAULT)
    return {
        name: LocalTask.load(
            repository.open(name), engine=config.engine, limits=config.limits, delta=config.delta
        )
        for name in names
    }


def open_tracking(config: EdgeConfig, tasks: dict[str, LocalTask], upstream: Upstream) -> Tracking:
    """Open the store (nothing is connected yet) and the journal. Raises HawkVisionError."""
    alone = config.store in ("memory", "off")
    store: Store = MemoryStore(time.time) if alone else RedisStore.open(config.store)
    return Tracking(
        tasks,
        upstream,
        store,
        Journal(config.journal),
        audits=audit_settings(config.audit_share),
        control=config.control,
        enabled=config.store != "off",
        every_s=config.tracking_interval_s,
    )


def audit_settings(share: float) -> AuditSettings:
    """A base share, and three times as much for a while after a shift alarm."""
    return AuditSettings(base=share, boosted=min(0.5, 3 * share))


async def serve(config: EdgeConfig, tasks: dict[str, LocalTask]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    loop = asyncio.get_running_loop()
    metrics = AgentMetrics()
    pool = WorkerPool(config.workers, config.max_queue, loop)
    upstream = GrpcUpstream(config.gateway, config.max_escalations)
    tracking = open_tracking(config, tasks, upstream)
    probes = (
        GoldenProbes(next(iter(tasks.values())), config.probes, pool, upstream)
        if config.probes is not None
        else None
    )
    classifier = Classifier(tasks, pool, upstream, metrics, tracking, config.deadline_ms)
    bodies = BodyReader(
        config.max_body_bytes, config.max_buffered_bytes, config.body_timeout_s, config.max_batch
    )
    accuracy = AccuracyRoutes(classifier, tracking, AppKeys.read(config.app_keys))
    streams = StreamRegistry(
        classifier,
        StreamSettings(
            config.max_streams,
            config.stream_idle_s,
            config.rtp_address,
            AssemblyLimits(
                max_bytes=min(STREAM_LIMITS.max_bytes, config.limits.max_bytes),
                max_pixels=min(STREAM_LIMITS.max_pixels, config.limits.max_pixels),
            ),
        ),
    )
    routes = Routes(classifier, bodies, metrics, accuracy, StreamRoutes(streams), config.delta)
    for name, local in tasks.items():
        if isinstance(local.engine, Measuring):
            metrics.watch_engine(name, local.engine)
    metrics.watch("hawkvision_streams", "Lossy streams open.", lambda: streams.open_streams)
    metrics.watch(
        "hawkvision_stream_datagrams_unknown",
        "Datagrams that belong to no lossy stream.",
        lambda: streams.unknown,
    )
    metrics.watch("hawkvision_queue_images", "Images waiting or at work.", lambda: pool.pending)
    metrics.watch(
        "hawkvision_gateway_breaker_open",
        "1 while escalations are held back.",
        lambda: float(upstream.held_back),
    )
    runner = web.AppRunner(
        routes.application(config.max_body_bytes),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=config.drain_timeout_s,
    )
    await runner.setup()
    site = web.TCPSite(
        runner,
        config.host,
        config.port,
        backlog=512,
        ssl_context=server_context(config.tls_cert, config.tls_key),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await _listen(site, config)
        port = runner.addresses[0][1]
        rtp_port = port if config.rtp_port is None else config.rtp_port
        await streams.bind(config.host, rtp_port, exact=config.rtp_port is not None)
        scheme = "https" if config.tls_cert else "http"
        tracking.start(f"{scheme}://{config.host}:{port}")
        if probes is not None:
            tracking.repeat(lambda: probes.probe(tracking.counters.add), config.probe_every_s)
        tracking.repeat(lambda: export(accuracy, metrics, list(tasks)), _EXPORT_S)
        names = ", ".join(tasks)
        print(
            f"edge agent ready on {scheme}://{config.host}:{port} "
            f"(tasks: {names}; lossy streams on UDP {streams.port})",
            flush=True,
        )
        await stop.wait()
        await _drain(routes, streams, site, config)
    finally:
        streams.close()
        await runner.cleanup()
        await tracking.close()
        await upstream.close()
        pool.close()


async def _listen(site: web.TCPSite, config: EdgeConfig) -> None:
    try:
        await site.start()
    except OSError as error:
        raise HawkVisionError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}",
            hint="Choose another --port, or stop what holds it.",
        ) from error


async def _drain(
    routes: Routes, streams: StreamRegistry, site: web.TCPSite, config: EdgeConfig
) -> None:
    """Say "not ready" while still answering, then accept no more and finish what runs."""
    routes.draining = True
    await asyncio.sleep(config.drain_notice_s)
    streams.close()
    await site.stop()
    await asyncio.sleep(_ACCEPTED_S)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(routes.idle.wait(), config.drain_timeout_s)


def run(config: EdgeConfig) -> None:
    """Load the tasks and serve on uvloop where it is installed. Raises HawkVisionError."""
    tasks = load_tasks(config)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(config, tasks))
