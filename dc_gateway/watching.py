"""What a gateway's parts show when its metrics are scraped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.registry import Collector

from dc_gateway.metrics import BatchCollector
from dc_gateway.servicer import InferenceServicer
from dc_gateway.upstreams.forward import Forward
from dc_gateway.upstreams.metrics import ForwardCollector, ProcessCollector
from dc_gateway.upstreams.processes import Processes
from hawkvision.power import PowerSampler
from hawkvision.serving.batch_runner import BatchRunner
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.power_metrics import PowerCollector
from hawkvision.serving.reloading import Reloader
from hawkvision.serving.version_metrics import VersionCollector


class Port(Protocol):
    """A port that counts what comes to it."""

    def collectors(self) -> Iterable[Collector]:
        """What shows it."""
        ...


class Parts(Protocol):
    """What a gateway is made of, as far as it is shown."""

    pool: WorkerPool
    runner: BatchRunner
    servicer: InferenceServicer
    versions: Reloader[Any]
    processes: set[Processes]
    forward: Forward | None

    @property
    def rest(self) -> Port | None:
        """Its HTTP port."""
        ...


def registry_of(gateway: Parts, power: PowerSampler, *, processes: bool) -> CollectorRegistry:
    """Families that are read when they are scraped. `processes`: worker processes compute."""
    registry = CollectorRegistry()
    registry.register(PowerCollector(power))
    Gauge("hawkvision_queue_images", "Images waiting or at work.", registry=registry).set_function(
        lambda: gateway.pool.pending + gateway.runner.waiting
    )
    registry.register(BatchCollector(gateway.runner, gateway.servicer))
    registry.register(VersionCollector(gateway.versions))
    if processes:
        registry.register(ProcessCollector(gateway.processes))
    if gateway.forward is not None:
        registry.register(ForwardCollector(gateway.forward))
    if gateway.rest is not None:
        for collector in gateway.rest.collectors():
            registry.register(collector)
    return registry
