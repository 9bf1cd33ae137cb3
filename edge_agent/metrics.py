"""What the agent counts, for Prometheus. Children are looked up once per label set and kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edge_agent.outcome import Outcome
from hawkvision.calibration import shown
from hawkvision.engines import Measuring
from hawkvision.tracking.counts import counted_target

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class AgentMetrics:
    """Counters and histograms of one agent, in a registry of their own.

    The accuracy target is the one asked for, to three digits, as everywhere where answers are
    counted: clients cannot create series without end.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "hawkvision_answers",
            "Answers by task, accuracy target, rung and degradation.",
            ("task", "target", "served_by", "degraded"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "hawkvision_request_seconds",
            "Time from the whole body to the answer.",
            ("task", "served_by"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._errors = Counter(
            "hawkvision_errors", "Requests refused, by code.", ("code",), registry=self.registry
        )
        self._bytes_up = Counter(
            "hawkvision_escalated_bytes",
            "Image bytes sent to the data center.",
            ("task",),
            registry=self.registry,
        )
        self._engines = Gauge(
            "hawkvision_engine_measured",
            "What an engine's hardware counted for its last batch.",
            ["task", "quantity"],
            registry=self.registry,
        )
        self._accuracy = Gauge(
            "hawkvision_accuracy",
            "Per accuracy target, over 5 minutes: what is asked, delivered (with bounds, from the "
            "best source there is), the threshold, escalation and audit rates.",
            ("task", "target", "what"),
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, str, str | None], tuple[Counter, Histogram]] = {}

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        task, target = outcome.local.task.name, counted_target(outcome.target.accuracy)
        served_by, degraded = outcome.served_by, outcome.degraded
        key = (task, target, served_by, degraded)
        found = self._children.get(key)
        if found is None:
            name = target if outcome.target.accuracy.relative else shown.target(float(target))
            labels = (task, name, served_by, degraded or "")
            found = (self._answers.labels(*labels), self._seconds.labels(task, served_by))
            self._children[key] = found
        found[0].inc()
        found[1].observe(outcome.total_s)

    def refused(self, code: str) -> None:
        """Count one error answer."""
        self._errors.labels(code).inc()

    def sent_up(self, task: str, size: int) -> None:
        """Count bytes sent to the data center."""
        self._bytes_up.labels(task).inc(size)

    def set_accuracy(self, task: str, target: str, values: dict[str, float]) -> None:
        """Set the gauges of one target, e.g. `delivered`, `threshold`."""
        for name, value in values.items():
            self._accuracy.labels(task, target, name).set(value)

    def watch_engine(self, task: str, engine: Measuring) -> None:
        """Gauges of what an engine's hardware counts, read when they are scraped."""
        for name in engine.measured():
            read = partial(_quantity, engine, name)
            self._engines.labels(task, name).set_function(read)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, text, registry=self.registry).set_function(read)


def _quantity(engine: Measuring, name: str) -> float:
    return engine.measured().get(name, math.nan)
