"""The gateway put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from dc_gateway.batched import BatchedModel
from dc_gateway.config import GatewayConfig
from dc_gateway.following import follower_of
from dc_gateway.limits import door_limits
from dc_gateway.loading import ModelSource, load_all
from dc_gateway.model import LargeModel
from dc_gateway.servicer import InferenceServicer
from dc_gateway.tls import GatewayTls
from dc_gateway.upstreams.forward import Forward
from dc_gateway.upstreams.model import RemoteModel
from dc_gateway.upstreams.processes import Processes
from dc_gateway.watching import registry_of
from hawkvision.power import PowerSampler
from hawkvision.serving import memory, service
from hawkvision.serving.batch_runner import BatchRunner
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.clients import certified_as
from hawkvision.serving.control import IndexOnly
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.metrics_port import MetricsPort
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.quota import Quota
from hawkvision.serving.reloading import Hooks, Reloader
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.tracing import tracing_of
from hawkvision.serving.upstreams.groups import parse_groups
from hawkvision.serving.waiting import Limits

if TYPE_CHECKING:
    from dc_gateway.rest import RestPort

_log = logging.getLogger(__name__)

_NICE = 5
"""Of threads that compute: a call has its place, or is refused, before they go on."""


class Gateway:
    """Loaded models behind a gRPC port, and one for REST; use it within one event loop."""

    def __init__(self, config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
        config.check_exposure()
        self._config = config
        self._port = config.port
        self.tls = GatewayTls(config)
        self._batched: dict[LargeModel, BatchedModel] = {}
        self.processes = set[Processes]()
        self.catalog = Catalog[LargeModel](
            config.keep_versions,
            config.version_grace_s,
            let_go=lambda model: _forget(self._batched, model),
        )
        self.versions = Reloader[LargeModel](
            self.catalog,
            ModelSource(config),
            Hooks[LargeModel](serving=self._serves),
            watch_s=config.watch_repository,
        )
        self.versions.begin_with(models)
        self.models = self.catalog.serving
        loop = asyncio.get_running_loop()
        self.pool = WorkerPool(config.lanes, config.max_queue, loop, fair=True, nice=_NICE)
        self.runner = BatchRunner(_slots(config, models))
        for model in models.values():
            self._share(model)
        share = config.max_client_share
        self.forward: Forward | None = None
        if config.upstreams:
            groups = parse_groups(config.upstreams)
            calls = Quota("calls", config.max_calls, share)
            self.forward = Forward(groups, calls, self.tls.dialer)
        self._tracing = tracing_of(config.otlp_endpoint, config.trace_share, "hawkvision-gateway")
        self.servicer = InferenceServicer(
            self.models,
            self.pool,
            config.images_per_request,
            Quota("images", config.max_queue + config.lanes, share),
            self._batched,
            self._find,
            self.versions if config.changes_models else IndexOnly(self.versions),
            config.limits,
            self.forward,
            self._tracing,
            _weights(config),
        )
        self._follower = follower_of(config)
        self._gives_back = memory.GivesBack()
        self._looking: asyncio.Task[None] | None = None
        self.door = Door(
            self.servicer, models, door_limits(config), self.tls.server, config.allow_clients
        )
        self.rest: RestPort | None = None
        if config.http_port is not None:
            from dc_gateway.rest import RestPort  # brings aiohttp

            self.rest = RestPort(config, self.servicer, self.door, self._tls_context, self._scrape)
        watched = (config.http_port, config.metrics_port) != (None, None)
        self._power = PowerSampler.of_machine() if watched else None
        self._registry: CollectorRegistry | None = None
        self.http_port = config.http_port
        self.metrics_port = config.metrics_port
        self._metrics: MetricsPort | None = None
        self._health: MetricsPort | None = None
        self.health_port = config.health_port

    def _share(self, model: LargeModel) -> None:
        """Let a model's calls share batches, where that pays."""
        config = self._config
        if isinstance(model, RemoteModel) and isinstance(model.upstream, Processes):
            self.processes.add(model.upstream)
        if not _on_cpu(model) if config.batching is None else config.batching:
            limits = Limits(config.max_batch, config.max_queue + config.lanes, config.held_bytes)
            self._batched[model] = BatchedModel(model, self.runner, limits, self.pool)

    # New versions.

    def _find(self, name: str, version: str) -> LargeModel | None:
        return self.catalog.find(name, version, time.monotonic())

    def _serves(self, name: str, _old: LargeModel | None, new: LargeModel | None) -> None:
        """A version took over; those that are kept keep their places in the batches."""
        self.door.health.serves(name, new is not None)
        if new is not None and new not in self._batched:
            self._share(new)

    def reload(self) -> None:
        """Begin to look for new versions of everything that is served, and new certificates."""
        self.tls.renewal.now()
        self.versions.look()

    @property
    def address(self) -> str:
        """HOST:PORT where edges reach it; right once it has started."""
        host = self._config.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        tasks = f"tasks: {', '.join(self.models)}"
        if self.forward is not None:
            tasks += f"; others at {', '.join(self.forward.addresses)}"
        rest = "" if self.http_port is None else f"; REST on port {self.http_port}"
        more = "" if self.metrics_port is None else f"; metrics on port {self.metrics_port}"
        return f"dc gateway ready on {self.address} ({tasks}{rest}{more})"

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        self._port = await self.door.start(self.address)
        if self.forward is not None:
            self.forward.start()
        await self._start_http()
        await self._start_health()
        self._looking = asyncio.create_task(self._gives_back.keep_looking())
        for name, model in self.models.items():
            for rung in model.rungs:
                _log.info("task %s, %s", name, rung)
        self.versions.start()
        self.tls.renewal.start()
        if self._follower is not None:
            self._follower.start(self.models, self.versions)
        return self._port

    async def _start_http(self) -> None:
        """The ports that were asked for. Raises HawkVisionError where one cannot listen."""
        if self._power is None:
            return
        registry = self._registry = registry_of(
            self, self._power, processes=bool(self._config.processes)
        )
        self._power.start()
        if self.rest is not None and self.http_port is not None:
            self.http_port = await self.rest.start(self._config.host, self.http_port)
        if self.metrics_port is not None:
            self._metrics = MetricsPort(registry, self._tls_context)
            self.metrics_port = await self._metrics.start(self._config.host, self.metrics_port)

    async def _start_health(self) -> None:
        if self.health_port is not None:
            self._health = MetricsPort(None, ready=lambda: not self.servicer.draining)
            self.health_port = await self._health.start(self._config.host, self.health_port)

    @property
    def _tls_context(self) -> ssl.SSLContext | None:
        """Of its HTTP ports, for all of their life; None in the clear."""
        return None if self.tls.server is None else self.tls.server.context

    async def _scrape(self) -> bytes:
        assert self._registry is not None
        return await asyncio.to_thread(generate_latest, self._registry)

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        notice_s, grace_s = self._config.drain_notice_s, self._config.drain_grace_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self.door.drain(notice_s, grace_s))
            if self.rest is not None:
                group.create_task(self.rest.drain(notice_s, grace_s))

    async def close(self) -> None:
        """Stop at once; calls in flight are cancelled."""
        if self._looking is not None:
            self._looking.cancel()
        await self.tls.renewal.close()
        if self._follower is not None:
            self._follower.close()
        await self.versions.close()
        if self.rest is not None:
            await self.rest.close()
        await self.door.close()
        if self.forward is not None:
            await self.forward.close()
        for port in (self._metrics, self._health):
            if port is not None:
                port.close()
        self.pool.close()
        self.runner.close()
        for one in self.processes:
            one.close()
        if self._power is not None:
            self._power.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)


def _forget(batched: dict[LargeModel, BatchedModel], model: LargeModel) -> None:
    batched.pop(model, None)


def _weights(config: GatewayConfig) -> dict[str, float]:
    """By `Peer.address`: a client is named by its certificate, or by where it calls from."""
    named = dict(config.client_weights)
    return named | {certified_as(name): weight for name, weight in named.items()}


def _slots(config: GatewayConfig, models: Mapping[str, LargeModel]) -> int:
    """How many batches run at a time: each thread's or process's; of a device one after another.

    A device does not do two batches in the time of one: the second had better be larger.
    """
    if config.processes:
        return config.processes
    return config.threads if all(map(_on_cpu, models.values())) else 1


def _on_cpu(model: LargeModel) -> bool:
    return all(rung.engine.metadata.device == "cpu" for rung in model.rungs)


async def serve(config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Gateway(config, models))


def run(config: GatewayConfig) -> None:
    """Load the models and serve. Raises HawkVisionError."""
    service.run(serve(config, load_all(config)))


SERVICE = ServiceKind(GatewayConfig, load_all, Gateway)
