"""Batches, what they were learned to cost, and refusals for Prometheus, read when scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from dc_gateway.servicer import InferenceServicer
from hawkvision.serving.batch_runner import BatchRunner

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper ends of the histogram's buckets, images."""


class BatchCollector(Collector):
    """The families of one gateway; nothing is counted for it while calls are answered."""

    def __init__(self, runner: BatchRunner, servicer: InferenceServicer) -> None:
        self._runner = runner
        self._servicer = servicer

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        sizes = HistogramMetricFamily(
            "hawkvision_batch_images", "Images of a batch that ran.", labels=["rung"]
        )
        waiting = GaugeMetricFamily(
            "hawkvision_batch_waiting_images", "Images that wait for a batch.", labels=["rung"]
        )
        delay = GaugeMetricFamily(
            "hawkvision_batch_delay_seconds",
            "How long the last batch waited for company.",
            labels=["rung"],
        )
        cost = GaugeMetricFamily(
            "hawkvision_batch_cost_seconds",
            "Learned: what a batch takes before its images, and for each of them.",
            labels=["rung", "part"],
        )
        for line in self._runner.lines:
            counts = Counter(line.sizes)
            sizes.add_metric([line.name], *_histogram(counts))
            waiting.add_metric([line.name], line.batcher.images)
            delay.add_metric([line.name], line.batcher.delay_s)
            cost.add_metric([line.name, "setup"], line.batcher.cost.setup_s)
            cost.add_metric([line.name, "image"], line.batcher.cost.each_s)
        refused = CounterMetricFamily(
            "hawkvision_refused",
            "Calls that were not answered, by reason and priority.",
            labels=["reason", "priority"],
        )
        for (reason, priority), count in sorted(self._servicer.refused.items()):
            refused.add_metric([reason, priority], count)
        answered = CounterMetricFamily(
            "hawkvision_rung_images",
            "Images answered, by task and the rung whose answer it was.",
            labels=["task", "rung"],
        )
        for (task, rung), count in sorted(self._servicer.answered.items()):
            answered.add_metric([task, rung], count)
        yield from (sizes, waiting, delay, cost, refused, answered)


def _histogram(counts: Counter[int]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets, and the sum of all images."""
    below = [0.0] * (len(_SIZES) + 1)
    for size, count in counts.items():
        below[next((i for i, end in enumerate(_SIZES) if size <= end), len(_SIZES))] += count
    ends = [*(f"{end:.1f}" for end in _SIZES), "+Inf"]
    images = sum(size * count for size, count in counts.items())
    return list(zip(ends, accumulate(below), strict=True)), float(images)
