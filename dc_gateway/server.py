"""The gateway put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import grpc
import grpc.aio
from prometheus_client import CollectorRegistry, Gauge

from dc_gateway import health, servicer
from dc_gateway.batched import BatchedModel
from dc_gateway.config import GatewayConfig
from dc_gateway.entrance import Entrance, EntranceLimits
from dc_gateway.health import Health
from dc_gateway.metrics import BatchCollector
from dc_gateway.model import LargeModel, load_models
from dc_gateway.quota import Quota
from dc_gateway.reception import Reception
from dc_gateway.servicer import InferenceServicer
from dc_gateway.transport import server_options
from dc_gateway.upstreams.forward import Forward
from dc_gateway.upstreams.metrics import ForwardCollector, ProcessCollector
from dc_gateway.upstreams.processes import load_in_processes, processes_of
from hawkvision.errors import HawkVisionError
from hawkvision.power import PowerSampler
from hawkvision.serving import memory, service
from hawkvision.serving.batch_runner import BatchRunner
from hawkvision.serving.metrics_port import MetricsPort
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.power_metrics import PowerCollector
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.upstreams.groups import parse_groups
from hawkvision.serving.waiting import Limits

_log = logging.getLogger(__name__)

_PATIENCE_S = 0.25
"""So long a message may be on its way while others wait for its place."""


class Gateway:
    """A listening gRPC server over loaded models; use it within one event loop."""

    def __init__(self, config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
        self._config = config
        self._port = config.port
        self.models = models
        loop = asyncio.get_running_loop()
        self.pool = WorkerPool(config.lanes, config.max_queue, loop, fair=True)
        self.runner = BatchRunner(_slots(config, models))
        share = config.max_client_share
        self._forward: Forward | None = None
        if config.upstreams:
            groups = parse_groups(config.upstreams)
            self._forward = Forward(groups, Quota("calls", config.max_calls, share))
        self.servicer = InferenceServicer(
            models,
            self.pool,
            config.images_per_request,
            Quota("images", config.max_queue + config.lanes, share),
            self._batched(config),
            self._forward,
        )
        held_bytes = Quota("bytes", config.held_bytes, share)
        self._gives_back = memory.GivesBack()
        self._looking: asyncio.Task[None] | None = None
        self._entrance = Entrance(
            Reception(config.max_calls, config.receiving, _PATIENCE_S),
            held_bytes,
            EntranceLimits(
                min(config.receive_timeout_s, config.max_deadline_s), config.max_deadline_s
            ),
        )
        self._health = Health(
            (servicer.SERVICE, *models), self._entrance, Quota("watches", config.max_calls, share)
        )
        self._power = PowerSampler.of_machine() if config.metrics_port is not None else None
        self.metrics_port = config.metrics_port
        self._metrics: MetricsPort | None = None
        self._server = grpc.aio.server(options=server_options(config))
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    servicer.SERVICE, self.servicer.handlers(self._entrance)
                ),
                grpc.method_handlers_generic_handler(health.SERVICE, self._health.handlers()),
            )
        )

    def _batched(self, config: GatewayConfig) -> dict[str, BatchedModel]:
        limits = Limits(config.max_batch, config.max_queue + config.lanes, config.held_bytes)
        return {
            name: BatchedModel(model, self.runner, limits, self.pool)
            for name, model in self.models.items()
            if (not _on_cpu(model) if config.batching is None else config.batching)
        }

    @property
    def address(self) -> str:
        """HOST:PORT where edges reach it; right once it has started."""
        host = self._config.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        tasks = f"tasks: {', '.join(self.models)}"
        if self._forward is not None:
            tasks += f"; others at {', '.join(self._forward.addresses)}"
        more = "" if self.metrics_port is None else f"; metrics on port {self.metrics_port}"
        return f"dc gateway ready on {self.address} ({tasks}{more})"

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        try:
            self._port = self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise HawkVisionError(
                f"cannot listen on {self.address}",
                hint="Choose another --port, or stop what holds it.",
            ) from error
        await self._server.start()
        if self._forward is not None:
            self._forward.start()
        await self._start_metrics()
        self._looking = asyncio.create_task(self._gives_back.keep_looking())
        for name, model in self.models.items():
            for rung in model.rungs:
                _log.info("task %s, %s", name, rung)
        return self._port

    async def _start_metrics(self) -> None:
        """Where a port was asked for. Raises HawkVisionError if it cannot listen there."""
        if self._power is None or self.metrics_port is None:
            return
        registry = CollectorRegistry()
        registry.register(PowerCollector(self._power))
        Gauge(
            "hawkvision_queue_images", "Images waiting or at work.", registry=registry
        ).set_function(lambda: self.pool.pending + self.runner.waiting)
        registry.register(BatchCollector(self.runner, self.servicer))
        processes = processes_of(self.models.values())
        if processes is not None:
            registry.register(ProcessCollector(processes))
        if self._forward is not None:
            registry.register(ForwardCollector(self._forward))
        self._power.start()
        self._metrics = MetricsPort(registry)
        self.metrics_port = await self._metrics.start(self._config.host, self.metrics_port)

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        self.servicer.draining = True
        self._health.drain()
        await asyncio.sleep(self._config.drain_notice_s)
        self._health.close()
        await self._server.stop(self._config.drain_grace_s)

    async def close(self) -> None:
        """Stop at once; calls in flight are cancelled."""
        if self._looking is not None:
            self._looking.cancel()
        await self._server.stop(None)
        if self._forward is not None:
            await self._forward.close()
        if self._metrics is not None:
            self._metrics.close()
        self.pool.close()
        self.runner.close()
        for model in self.models.values():
            model.close()
        if self._power is not None:
            self._power.close()


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


def load(config: GatewayConfig) -> Mapping[str, LargeModel]:
    """The models, in this process or in worker processes. Raises HawkVisionError."""
    return load_in_processes(config) if config.processes else load_models(config)


def run(config: GatewayConfig) -> None:
    """Load the models and serve. Raises HawkVisionError."""
    service.run(serve(config, load(config)))


SERVICE = ServiceKind(GatewayConfig, load, Gateway)
