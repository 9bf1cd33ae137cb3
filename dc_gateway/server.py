"""The gateway put together: an object that a process, a program or a test starts and stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from dc_gateway.batched import BatchedModel
from dc_gateway.config import GatewayConfig
from dc_gateway.limits import door_limits
from dc_gateway.metrics import BatchCollector
from dc_gateway.model import LargeModel, load_models
from dc_gateway.servicer import InferenceServicer
from hawkvision.power import PowerSampler
from hawkvision.serving import memory, service
from hawkvision.serving.batch_runner import BatchRunner
from hawkvision.serving.grpc.door import Door
from hawkvision.serving.grpc.quota import Quota
from hawkvision.serving.metrics_port import MetricsPort
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.power_metrics import PowerCollector
from hawkvision.serving.service import ServiceKind
from hawkvision.serving.waiting import Limits

_log = logging.getLogger(__name__)

_NICE = 5
"""Of threads that compute: a call has its place, or is refused, before they go on."""


class Gateway:
    """A listening gRPC server over loaded models; use it within one event loop."""

    def __init__(self, config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
        self._config = config
        self._port = config.port
        self.models = models
        loop = asyncio.get_running_loop()
        self.pool = WorkerPool(config.threads, config.max_queue, loop, fair=True, nice=_NICE)
        self.runner = BatchRunner(_slots(config, models))
        share = config.max_client_share
        self.servicer = InferenceServicer(
            models,
            self.pool,
            config.images_per_request,
            Quota("images", config.max_queue + config.threads, share),
            self._batched(config),
            config.limits,
        )
        self._gives_back = memory.GivesBack()
        self._looking: asyncio.Task[None] | None = None
        self.door = Door(self.servicer, models, door_limits(config))
        self._power = PowerSampler.of_machine() if config.metrics_port is not None else None
        self.metrics_port = config.metrics_port
        self._metrics: MetricsPort | None = None

    def _batched(self, config: GatewayConfig) -> dict[str, BatchedModel]:
        limits = Limits(config.max_batch, config.max_queue + config.threads, config.held_bytes)
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
        more = "" if self.metrics_port is None else f"; metrics on port {self.metrics_port}"
        return f"dc gateway ready on {self.address} ({tasks}{more})"

    async def start(self) -> int:
        """Listen; the port, which is a free one where the configuration says 0.

        Raises HawkVisionError if it cannot listen there.
        """
        self._port = await self.door.start(self.address)
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
        self._power.start()
        self._metrics = MetricsPort(registry)
        self.metrics_port = await self._metrics.start(self._config.host, self.metrics_port)

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        await self.door.drain(self._config.drain_notice_s, self._config.drain_grace_s)

    async def close(self) -> None:
        """Stop at once; calls in flight are cancelled."""
        if self._looking is not None:
            self._looking.cancel()
        await self.door.close()
        if self._metrics is not None:
            self._metrics.close()
        self.pool.close()
        self.runner.close()
        if self._power is not None:
            self._power.close()


def _slots(config: GatewayConfig, models: Mapping[str, LargeModel]) -> int:
    """How many batches run at a time: of a CPU each thread's, of a device one after another.

    A device does not do two batches in the time of one: the second had better be larger.
    """
    return config.threads if all(map(_on_cpu, models.values())) else 1


def _on_cpu(model: LargeModel) -> bool:
    return all(rung.engine.metadata.device == "cpu" for rung in model.rungs)


async def serve(config: GatewayConfig, models: Mapping[str, LargeModel]) -> None:
    """Serve until SIGTERM or SIGINT; print one line when ready. Raises HawkVisionError."""
    await service.serve(Gateway(config, models))


def run(config: GatewayConfig) -> None:
    """Load the models and serve. Raises HawkVisionError."""
    service.run(serve(config, load_models(config)))


SERVICE = ServiceKind(GatewayConfig, load_models, Gateway)
