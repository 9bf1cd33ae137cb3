"""What a request takes, step by step: processor time, and how long it lasts without a queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest
from hawkvision.repository import Task

Floats = npt.NDArray[np.float64]

_POINTS = 101


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work: `cpu_ms` of processor on average; `ms` how long it lasts, ascending.

    `ms` are equally likely times of a step that nothing else holds up. `warm` is the share of both
    that is left where the step follows another one at once: networks are still in the caches, and
    nobody has to be woken.
    """

    cpu_ms: float
    ms: tuple[float, ...]
    warm: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.cpu_ms, self.warm, *self.ms)
        if not self.ms or not all(0 <= one < math.inf for one in numbers) or self.warm > 1:
            raise InvalidRequest("costs: a step has times of 0 or more, and `warm` of at most 1")

    @property
    def mean_ms(self) -> float:
        """How long it lasts on average."""
        return sum(self.ms) / len(self.ms)

    def last(self, uniform: Floats) -> Floats:
        """How long it lasts [N], drawn by numbers [N] in [0, 1): between two times evenly."""
        times = np.asarray(self.ms, np.float64)
        found = np.interp(uniform * len(times) - 0.5, np.arange(len(times)), times)
        return np.asarray(found, np.float64)

    def busy(self, lasted: Floats) -> Floats:
        """How long a processor is kept [N] by steps that lasted so long [N]; the mean is cpu_ms."""
        mean = self.mean_ms
        return np.full_like(lasted, self.cpu_ms) if mean <= 0 else lasted * (self.cpu_ms / mean)

    def times(self, factor: float) -> Step:
        """The same work where everything takes `factor` times as long."""
        return replace(self, cpu_ms=self.cpu_ms * factor, ms=_scaled(self.ms, factor))

    @property
    def warm_cpu_ms(self) -> float:
        """Processor time of one that follows another one at once, on average."""
        return self.cpu_ms * self.warm


def _scaled(times: Sequence[float], factor: float) -> tuple[float, ...]:
    return tuple(one * factor for one in times)


def steady(ms: float) -> Step:
    """A step that always takes as long."""
    return Step(ms, (ms,))


def log_normal(median_ms: float, p99_ms: float) -> Step:
    """A step whose time is log-normal with this median and 99th percentile, all of it at work."""
    if median_ms <= 0:
        return steady(0.0)
    normal = NormalDist()
    sigma = math.log(max(p99_ms, median_ms) / median_ms) / normal.inv_cdf(0.99)
    places = [(place + 0.5) / _POINTS for place in range(_POINTS)]
    times = [median_ms * math.exp(sigma * normal.inv_cdf(share)) for share in places]
    return Step(sum(times) / _POINTS, tuple(times))


def of_times(times_ms: Sequence[float], cpu_ms: float) -> Step:
    """A step from times that were measured, as their quantiles."""
    places = (np.arange(_POINTS) + 0.5) / _POINTS
    return Step(cpu_ms, tuple(float(one) for one in np.quantile(np.asarray(times_ms), places)))


@dataclass(frozen=True, slots=True)
class EdgeCosts:
    """At an agent: a request that the first rung answers, all in; what escalating adds.

    `rungs` are the jobs of the rungs above the first, by place from 1, were they held here.
    `idle_cores` is what the process takes when nobody asks.
    """

    first: Step
    escalate: Step
    rungs: tuple[Step, ...]
    idle_cores: float = 0.0
    source: str = "task.toml"


@dataclass(frozen=True, slots=True)
class GatewayCosts:
    """At a gateway: what a call takes besides the rungs' jobs, and those, by place from 1.

    `loop_ms` of the processor time are the event loop's, which is one thread whatever cores there
    are.
    """

    call: Step
    rungs: tuple[Step, ...]
    loop_ms: float
    idle_cores: float = 0.0
    source: str = "task.toml"


@dataclass(frozen=True, slots=True)
class Besides:
    """What a request takes besides networks, ms, where nothing was measured.

    `decode_ms` is a kilobyte's of JPEG, `warm` as in `Step`. Of one machine: see docs/plan.md.
    """

    request_ms: float = 0.6
    decode_ms: float = 0.025
    escalate_ms: float = 1.2
    call_ms: float = 1.2
    edge_warm: float = 0.5
    gateway_warm: float = 0.95


BESIDES = Besides()


def edge_costs(task: Task, besides: Besides = BESIDES) -> EdgeCosts:
    """From task.toml's `measured`, and what is known of the rest. Raises InvalidRequest."""
    decode_ms = besides.decode_ms * _kilobytes(task)
    first, *above = _networks(task)
    return EdgeCosts(
        first=replace(_and(first, besides.request_ms + decode_ms), warm=besides.edge_warm),
        escalate=steady(besides.escalate_ms),
        rungs=tuple(_and(one, decode_ms) for one in above),
    )


def gateway_costs(task: Task, besides: Besides = BESIDES) -> GatewayCosts:
    """As `edge_costs`."""
    decode_ms = besides.decode_ms * _kilobytes(task)
    _, *above = _networks(task)
    warm = besides.gateway_warm
    return GatewayCosts(
        call=Step(besides.call_ms, (besides.call_ms,), warm),
        rungs=tuple(replace(_and(one, decode_ms), warm=warm) for one in above),
        loop_ms=besides.call_ms,
    )


def _kilobytes(task: Task) -> float:
    return float(task.scores().image_bytes.mean()) / 1e3


def _networks(task: Task) -> list[Step]:
    """Raises InvalidRequest for a task of which no cost was measured."""
    found = []
    for rung in task.rungs:
        median = rung.measured.get("milliseconds")
        if median is None:
            raise InvalidRequest(
                f"task {task.name}: task.toml says of rung {rung.name} no `milliseconds`",
                hint="Calibrate it again, or give the costs by --edge-costs and --gateway-costs.",
            )
        found.append(log_normal(median, rung.measured.get("p99_milliseconds", median)))
    return found


def _and(step: Step, more_ms: float) -> Step:
    return replace(step, cpu_ms=step.cpu_ms + more_ms, ms=tuple(one + more_ms for one in step.ms))


def slower_edge(costs: EdgeCosts, factor: float) -> EdgeCosts:
    """On a machine where everything takes `factor` times as long."""
    return replace(
        costs,
        first=costs.first.times(factor),
        escalate=costs.escalate.times(factor),
        rungs=tuple(one.times(factor) for one in costs.rungs),
        idle_cores=costs.idle_cores * factor,
    )
