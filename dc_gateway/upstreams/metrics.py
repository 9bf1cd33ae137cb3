"""Worker processes and upstreams for Prometheus, read when scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dc_gateway.upstreams.forward import Forward
from dc_gateway.upstreams.processes import Processes


class ProcessCollector(Collector):
    """Of all processes that one gateway has started, those of versions that are gone too."""

    def __init__(self, processes: Collection[Processes]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield GaugeMetricFamily(
            "hawkvision_workers",
            "Worker processes that are ready.",
            sum(one.ready for one in self._processes),
        )
        ends = CounterMetricFamily(
            "hawkvision_worker_ends", "Worker processes that ended by themselves.", labels=["cause"]
        )
        total = sum((one.ends for one in self._processes), Counter[str]())
        for cause, count in sorted(total.items()):
            ends.add_metric([cause], count)
        yield ends
        yield CounterMetricFamily(
            "hawkvision_worker_retries",
            "Calls or batches that were tried again because a process ended over them.",
            sum(one.tried_again for one in self._processes),
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
