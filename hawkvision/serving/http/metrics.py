"""An HTTP port's connections and held bytes for Prometheus, read when scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.connections import Book


class PortCollector(Collector):
    """Of one port."""

    def __init__(self, connections: Book, bodies: BodyReader) -> None:
        self._connections = connections
        self._bodies = bodies

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        book = self._connections
        for name, text, counts in (
            (
                "hawkvision_connections_refused",
                "HTTP connections refused: no room in total, for a peer, or no descriptor.",
                book.refused,
            ),
            (
                "hawkvision_connections_ended",
                "HTTP connections that were ended here before their clients did.",
                book.ended,
            ),
        ):
            family = CounterMetricFamily(name, text, labels=["reason"])
            for reason, amount in sorted(counts.items()):
                family.add_metric([reason], amount)
            yield family
        yield GaugeMetricFamily("hawkvision_connections", "HTTP connections open.", book.open)
        yield GaugeMetricFamily(
            "hawkvision_body_bytes", "Bytes of request bodies held.", self._bodies.held
        )
