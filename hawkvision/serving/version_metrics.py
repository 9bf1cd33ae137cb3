"""Which versions of tasks there are, in what state, for Prometheus; read when scraped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hawkvision.serving.reloading import Reloader


class VersionCollector(Collector):
    """Of one service."""

    def __init__(self, versions: Reloader[Any]) -> None:
        self._versions = versions

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        known = GaugeMetricFamily(
            "hawkvision_task_version",
            "1 for each version of a task that is known, by its state.",
            labels=["task", "version", "state"],
        )
        for one in sorted(
            {(row.name, row.version, row.state.value) for row in self._versions.index()}
        ):
            known.add_metric(list(one), 1)
        loads = CounterMetricFamily(
            "hawkvision_task_loads",
            "Versions of tasks that were loaded while serving, or could not be.",
            labels=["result"],
        )
        for result, count in self._versions.loads.items():
            loads.add_metric([result], count)
        yield from (known, loads)
