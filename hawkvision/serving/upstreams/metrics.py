"""Calls to upstreams for Prometheus, read when they are scraped; labels are what was configured."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hawkvision.serving.upstreams.client import UpstreamClient

_MEDIAN = 0.5


class UpstreamCollector(Collector):
    """The families of one client; what an upstream took is left out until it is known."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        calls = CounterMetricFamily(
            "hawkvision_gateway_calls",
            "Calls to gateways by how they ended.",
            labels=["gateway", "outcome"],
        )
        for (address, outcome), count in sorted(self._client.calls.items()):
            calls.add_metric([address, outcome], count)
        yield calls
        again = CounterMetricFamily(
            "hawkvision_gateway_second_calls",
            "Second calls for one question: begun, of these won, and why others were not made.",
            labels=["outcome"],
        )
        for outcome, count in sorted(self._client.seconds.items()):
            again.add_metric([outcome], count)
        yield again
        left_out = GaugeMetricFamily(
            "hawkvision_gateway_left_out", "1 while a gateway gets no calls.", labels=["gateway"]
        )
        took = GaugeMetricFamily(
            "hawkvision_gateway_seconds",
            "Median time of a gateway's last calls; one given up counts twice the time it had.",
            labels=["gateway", "task"],
        )
        now = time.monotonic()
        for one in self._client.balancer.endpoints:
            left_out.add_metric([one.address], not one.healthy)
            longest: dict[str, float] = {}
            for (name, _version), state in one.models.items():
                median_s = state.latency.quantile_s(_MEDIAN, now)
                if median_s is not None:
                    longest[name] = max(median_s, longest.get(name, 0.0))
            for name, seconds in longest.items():
                took.add_metric([one.address, name], seconds)
        yield left_out
        yield took
