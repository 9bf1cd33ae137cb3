"""Answers and their times by label, as plain numbers that become metrics when they are scraped.

Every request counts here, and seldom anybody scrapes: adding is to be quick.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of the histogram's buckets, seconds; the last bucket has none."""

_ENDS = (*map(str, BOUNDS_S), "+Inf")
Labels = tuple[str, ...]


class Series:
    """Answers that are alike, by `labels`: task, target, served_by, degraded; and the `rung`."""

    __slots__ = ("buckets", "count", "created_s", "labels", "looked", "rung", "sum_s")

    def __init__(self, labels: tuple[str, str, str, str], rung: str) -> None:
        self.labels = labels
        self.rung = rung
        self.created_s = time.time()
        self.count = self.looked = 0
        self.sum_s = 0.0
        self.buckets = [0] * len(_ENDS)

    def add(self, seconds: float) -> None:
        """One answer more, so long after its request arrived."""
        self.count += 1
        self.sum_s += seconds
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1


class _Sum:
    """Of the series that share the labels of one family."""

    def __init__(self) -> None:
        self.count = 0
        self.created_s = float("inf")
        self.sum_s = 0.0
        self.buckets = [0] * len(_ENDS)

    def add(self, one: Series) -> None:
        self.count += one.count
        self.created_s = min(self.created_s, one.created_s)
        self.sum_s += one.sum_s
        self.buckets = [a + b for a, b in zip(self.buckets, list(one.buckets), strict=True)]


class AnswerSeries(Collector):
    """All series of an agent; they are added by one thread, and collected by any."""

    def __init__(self) -> None:
        self._all: list[Series] = []
        plain = Counter("hawkvision_plain", "Never told.", registry=None)
        samples = next(iter(plain.collect())).samples
        self._says_created = any(one.name.endswith("_created") for one in samples)

    def begin(self, labels: tuple[str, str, str, str], rung: str) -> Series:
        """A new one, all 0."""
        found = Series(labels, rung)
        self._all.append(found)
        return found

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: the three families that answers count in."""
        answers: dict[Labels, _Sum] = {}
        seconds: dict[Labels, _Sum] = {}
        rungs: dict[Labels, _Sum] = {}
        for one in list(self._all):
            task, _, served_by, _ = one.labels
            answers.setdefault(one.labels, _Sum()).add(one)
            seconds.setdefault((task, served_by), _Sum()).add(one)
            rungs.setdefault((task, one.rung, served_by), _Sum()).add(one)
        yield self._counter(
            "hawkvision_answers",
            "Answers by task, accuracy target, rung and degradation.",
            ("task", "target", "served_by", "degraded"),
            answers,
        )
        yield self._histogram(seconds)
        yield self._counter(
            "hawkvision_rung_answers",
            "Answers by task, the rung whose answer it was, and where that ran.",
            ("task", "rung", "served_by"),
            rungs,
        )

    def _counter(self, name: str, text: str, labels: Labels, sums: dict[Labels, _Sum]) -> Metric:
        family = CounterMetricFamily(name, text, labels=labels)
        for values, one in sums.items():
            created = one.created_s if self._says_created else None
            family.add_metric(values, one.count, created=created)
        return family

    def _histogram(self, sums: dict[Labels, _Sum]) -> Metric:
        names = ("task", "served_by")
        family = HistogramMetricFamily(
            "hawkvision_request_seconds",
            "Time from the arrival of a request (its head, or a frame's first packet) to its "
            "answer; receiving the body and asking the data center are part of it.",
            labels=names,
        )
        for values, one in sums.items():
            counts = [float(count) for count in accumulate(one.buckets)]
            family.add_metric(values, list(zip(_ENDS, counts, strict=True)), one.sum_s)
            if self._says_created:
                labels = dict(zip(names, values, strict=True))
                family.add_sample(f"{family.name}_created", labels, one.created_s)
        return family
