"""The metrics of several workers as those of one service: counters and histograms add up, and keep
what workers counted that have ended; gauges add up over the living, or are taken as they are.

Those that rest on the store that all share are the scraped worker's, which has just read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

LATEST = frozenset({"hawkvision_accuracy", "hawkvision_app_accuracy"})
"""Read from the store that all share, by the worker that is scraped."""

LARGEST = frozenset(
    {
        "hawkvision_gateway_breaker_open",
        "hawkvision_gateway_left_out",
        "hawkvision_gateway_seconds",
        "hawkvision_engine_measured",
    }
)
"""Gauges that no sum makes sense of."""

KEPT = frozenset({"hawkvision_stream_datagrams_unknown"})
"""Gauges that count, so that those of ended workers stay."""

Labels = tuple[tuple[str, str], ...]
Values = dict[tuple[str, Labels], float]
"""Of one family, by the name of the sample and its labels."""


class _Family:
    """One metric of one worker, or of all."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        self.values: Values = {}


Families = dict[str, _Family]


def snapshot(registry: CollectorRegistry) -> list[Any]:
    """Everything in a registry but for `LATEST`, as JSON can say it."""
    return [_told(family) for family in registry.collect() if family.name not in LATEST]


def latest(registry: CollectorRegistry) -> list[Any]:
    """`LATEST` alone."""
    return [_told(family) for family in registry.restricted_registry(LATEST).collect()]


def _told(family: Metric) -> list[Any]:
    samples = [[one.name, one.labels, one.value] for one in family.samples]
    return [family.name, family.type, family.documentation, samples]


def _read(told: Iterable[Any]) -> Families:
    found: Families = {}
    for name, kind, text, samples in told:
        family = found[name] = _Family(kind, text)
        for sample, labels, value in samples:
            if value is not None:  # NaN
                family.values[sample, tuple(sorted(labels.items()))] = value
    return found


class Merged(Collector):
    """What workers told last, each with its process id, merged when it is asked for.

    A number that was told once is never forgotten, so no counter goes back.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._told: dict[int, Families] = {}
        self._of: dict[int, int] = {}
        self._gone: Families = {}
        self._latest: Families = {}
        self._alive: set[int] = set()
        self._ends: dict[str, int] = {}

    def started(self, index: int) -> None:
        """A worker is ready."""
        self._alive.add(index)

    def take(self, index: int, process: int, told: Iterable[Any]) -> None:
        """What a worker's process counts; it replaces what that process told before."""
        for old in [one for one, of in self._of.items() if of == index and one != process]:
            del self._of[old]
            _keep(self._gone, self._told.pop(old))
        self._told.pop(process, None)  # so that the last one that told something comes last
        self._told[process], self._of[process] = _read(told), index

    def ended(self, index: int, cause: str) -> None:
        """A worker ended by itself; `cause` in words."""
        self._alive.discard(index)
        self._ends[cause] = self._ends.get(cause, 0) + 1
        for process, of in self._of.items():
            if of == index:
                self._told[process] = {
                    name: family
                    for name, family in self._told[process].items()
                    if _outlives(name, family.kind)
                }

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        total: Families = {}
        for families in (self._gone, *self._told.values(), self._latest):
            _add(total, families)
        for name, family in total.items():
            metric = Metric(name, family.text, family.kind)
            for (sample, labels), value in family.values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
        alive = GaugeMetricFamily("hawkvision_workers", "Worker processes that are ready.")
        alive.add_metric([], len(self._alive))
        yield alive
        ends = CounterMetricFamily(
            "hawkvision_worker_ends",
            "Workers that ended by themselves and were replaced, by cause.",
            labels=["cause"],
        )
        for cause, count in sorted(self._ends.items()):
            ends.add_metric([cause], count)
        yield ends

    def text(self, read: Iterable[Any] = ()) -> str:
        """For Prometheus; with what the scraped worker has `read` from the store (`latest`)."""
        self._latest = _read(read)
        return generate_latest(self.registry).decode()


def _outlives(name: str, kind: str) -> bool:
    return kind in ("counter", "histogram") or name in KEPT


def _keep(into: Families, families: Families) -> None:
    _add(into, {name: one for name, one in families.items() if _outlives(name, one.kind)})


def _add(total: Families, families: Mapping[str, _Family]) -> None:
    for name, family in families.items():
        into = total.get(name)
        if into is None:
            into = total[name] = _Family(family.kind, family.text)
        for key, value in family.values.items():
            old = into.values.get(key)
            if old is None:
                into.values[key] = value
            elif key[0].endswith("_created"):
                into.values[key] = min(old, value)
            else:
                into.values[key] = max(old, value) if name in LARGEST else old + value
