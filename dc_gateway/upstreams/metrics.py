"""Worker processes and upstreams for Prometheus, read when scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dc_gateway.upstreams.forward import Forward
from dc_gateway.upstreams.processes import Processes


class ProcessCollector(Collector):
    """Of one gateway's processes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield GaugeMetricFamily(
            "hawkvision_workers", "Worker processes that are ready.", self._processes.ready
        )
        ends = CounterMetricFamily(
            "hawkvision_worker_ends", "Worker processes that ended by themselves.", labels=["cause"]
        )
        for cause, count in sorted(self._processes.ends.items()):
            ends.add_metric([cause], count)
        yield ends
        yield CounterMetricFamily(
            "hawkvision_worker_retries",
            "Calls or batches that were tried again because a process ended over them.",
            self._processes.tried_again,
        )


class ForwardCollector(Collector):
    """Of the servers that one gateway hands calls on to."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        there = GaugeMetricFamily(
            "hawkvision_upstream_up", "1 while it is there and takes calls.", labels=["upstream"]
        )
        for address, up in self._forward.up().items():
            there.add_metric([address], float(up))
        yield there
        calls = CounterMetricFamily(
            "hawkvision_upstream_calls",
            "Calls handed on, by how they ended.",
            labels=["upstream", "status"],
        )
        for (address, status), count in sorted(self._forward.answered.items()):
            calls.add_metric([address, status], count)
        yield calls
