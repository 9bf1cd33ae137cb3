"""What the agent counts, for Prometheus. Children are looked up once per label set and kept."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_agent.answer_series import AnswerSeries, Series
from edge_agent.outcome import Outcome
from hawkvision.calibration import shown
from hawkvision.engines import Measuring
from hawkvision.rungs import LoadedRung
from hawkvision.tracking.counts import counted_target
from hawkvision.tracking.trust import is_vouched

_MOST_TARGETS = 100
_OTHER = "other"
_Kind = tuple[str, str, str, str | None, bool, int]
_RUNNING = ("asked", "device", "precision", "platform", "version", "reason")
_MOST_TIMES = 8192
"""Of answers, between two times that they are taken."""


class Totals(NamedTuple):
    """Since the start: answers, those of the data center, those that were degraded; refusals."""

    answers: int = 0
    escalated: int = 0
    degraded: int = 0
    refused: int = 0


class AgentMetrics:
    """Counters and histograms of one agent, in a registry of their own.

    Clients cannot create series without end: targets are labelled as they are counted, to three
    digits, and of each task's targets the first hundred have series of their own, and the first
    hundred of apps that showed their keys; the rest is counted as `other`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = AnswerSeries()
        self.registry.register(self._answers)
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
        self._running = Gauge(
            "hawkvision_engine_info",
            "1 for each rung that is loaded: which engine was asked for, which device was given, "
            "and why.",
            ["task", "rung", *_RUNNING],
            registry=self.registry,
        )
        self._accuracy = Gauge(
            "hawkvision_accuracy",
            "Per accuracy target, over 5 minutes: what is asked, delivered (with bounds, from the "
            "source that rests on enough samples), the threshold, escalation and audit rates.",
            ("task", "target", "what"),
            registry=self.registry,
        )
        self._app_accuracy = Gauge(
            "hawkvision_app_accuracy",
            "As hawkvision_accuracy, of the requests alone that showed an app's key.",
            ("task", "app", "target", "what"),
            registry=self.registry,
        )
        self._probes = Counter(
            "hawkvision_probes",
            "Golden probes that both rungs answered.",
            ("task",),
            registry=self.registry,
        )
        self._probe_errors = Counter(
            "hawkvision_probe_errors",
            "Golden probes that a rung answered wrongly.",
            ("task", "rung"),
            registry=self.registry,
        )
        self._job_failures = Counter(
            "hawkvision_job_failures",
            "Failures of work beside the requests, by its name; each goes on.",
            ("work",),
            registry=self.registry,
        )
        self._targets: dict[tuple[str, bool], set[str]] = {}
        self._of_version: dict[str, list[tuple[Gauge, tuple[str, ...]]]] = {}
        self._shown: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        self._children: dict[_Kind, Series] = {}
        self._refused = 0
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)
        self._asked: dict[tuple[str, str], None] = {}

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        task, target = outcome.local.task.name, counted_target(outcome.target.accuracy)
        served_by, degraded = outcome.served_by, outcome.degraded
        with_key = is_vouched(outcome.app)
        key = (task, target, served_by, degraded, with_key, outcome.place)
        found = self._children.get(key)
        if found is None:
            name = target if outcome.target.accuracy.relative else shown.target(float(target))
            labels = (task, self._target(task, name, with_key), served_by, degraded or "")
            found = self._children[key] = self._answers.begin(labels, outcome.rung)
        found.add(outcome.total_s)
        self._times.append(outcome.total_s)

    def totals(self) -> Totals:
        """What was counted since the start."""
        answers = escalated = degraded = 0
        for (_, _, served_by, why, _, _), one in self._children.items():
            answers += one.count
            escalated += one.count if served_by == "dc" else 0
            degraded += one.count if why else 0
        return Totals(answers, escalated, degraded, self._refused)

    def take_times(self) -> list[float]:
        """Seconds of each answer since they were last taken, 8192 of them at most."""
        found = list(self._times)
        self._times.clear()
        return found

    def asked_last(self, most: int) -> list[tuple[str, str]]:
        """Tasks and targets that were answered last, to be called now and then; latest last."""
        for (task, target, *_), one in self._children.items():
            if one.count != one.looked:
                one.looked = one.count
                self._asked.pop((task, target), None)
                self._asked[task, target] = None
        while len(self._asked) > most:
            del self._asked[next(iter(self._asked))]
        return list(self._asked)

    def _target(self, task: str, name: str, with_key: bool) -> str:
        """The target's own label as long as there is room for it."""
        known = self._targets.setdefault((task, with_key), set())
        if name not in known and len(known) >= _MOST_TARGETS:
            return _OTHER
        known.add(name)
        return name

    def refused(self, code: str) -> None:
        """Count one error answer."""
        self._refused += 1
        self._errors.labels(code).inc()

    def sent_up(self, task: str, size: int) -> None:
        """Count bytes sent to the data center."""
        self._bytes_up.labels(task).inc(size)

    def probed(self, task: str, errors: Mapping[str, float]) -> None:
        """Count a golden probe and the error of each rung, in [0, 1]."""
        self._probes.labels(task).inc()
        for rung, error in errors.items():
            self._probe_errors.labels(task, rung).inc(error)

    def job_failed(self, job: str) -> None:
        """Count a failure of work beside the requests."""
        self._job_failures.labels(job).inc()

    def set_accuracy(
        self, task: str, targets: Mapping[str, Mapping[str, float]], app: str | None = None
    ) -> None:
        """Replace the gauges of a task, or of an app in it, by those of these targets.

        They are named e.g. `delivered`, `threshold`.
        """
        gauge, whose = (
            (self._accuracy, (task,)) if app is None else (self._app_accuracy, (task, app))
        )
        shown = {(*whose, target, name) for target, values in targets.items() for name in values}
        for labels in self._shown.get(whose, set()) - shown:
            gauge.remove(*labels)
        self._shown[whose] = shown
        for target, values in targets.items():
            for name, value in values.items():
                gauge.labels(*whose, target, name).set(value)

    def retires(self, task: str) -> None:
        """Forget by what a task was computed: its engines are let go of."""
        for gauge, labels in self._of_version.pop(task, []):
            gauge.remove(*labels)

    def running(self, task: str, rung: LoadedRung) -> None:
        """Say by what a rung is computed."""
        found = rung.running()
        labels = (task, rung.name, *(found[name] for name in _RUNNING))
        self._running.labels(*labels).set(1)
        self._of_version.setdefault(task, []).append((self._running, labels))

    def watch_engine(self, task: str, engine: Measuring) -> None:
        """Gauges of what an engine's hardware counts, read when they are scraped."""
        for name in engine.measured():
            read = partial(_quantity, engine, name)
            self._engines.labels(task, name).set_function(read)
            self._of_version.setdefault(task, []).append((self._engines, (task, name)))

    def watch_counts(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Counters by one label, whose values are ours alone, read when they are scraped."""
        self.registry.register(_Counts(name, text, label, read))

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, text, registry=self.registry).set_function(read)


class _Counts(Collector):
    """A counter family with one label, whose counts are kept elsewhere."""

    def __init__(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._family = (name, text, label)
        self._read = read

    def collect(self) -> Iterator[Metric]:
        name, text, label = self._family
        family = CounterMetricFamily(name, text, labels=[label])
        for value, amount in sorted(self._read().items()):
            family.add_metric([value], amount)
        yield family


def _quantity(engine: Measuring, name: str) -> float:
    return engine.measured().get(name, math.nan)
