"""The plan: what a rate takes and how long answers take, what ends first, and the largest rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hawkvision.errors import InvalidRequest
from hawkvision.planning.asked import Asked
from hawkvision.planning.costs import EdgeCosts, GatewayCosts
from hawkvision.planning.cuts import Choice, choose
from hawkvision.planning.demand import (
    EDGE,
    GATEWAY,
    Demand,
    Resource,
    demand,
    first_to_saturate,
    resources,
)
from hawkvision.planning.simulate import REQUESTS, Model, Outcomes, simulate
from hawkvision.planning.traffic import Target, chain_of, targets_of
from hawkvision.repository import Task

LATE = 0.01
"""A rate is carried where at most so many answers would come after the deadline."""

_SEARCHED = 12_000
_STEPS = 14
_MOST_AGENTS = 10_000
_NEAR, _BOUND = 0.98, 0.97
"""Of the rate that a resource ends at; nearer to it waiting varies more than a plan can say."""


@dataclass(frozen=True, slots=True)
class Row:
    """One target, or all (`accuracy` None). Times are None where no queue would ever end.

    `escalated` is the share that the data center answers; `expected` the answers' accuracy, late
    ones answered by the edge; `late` the share that would come after the deadline.
    """

    accuracy: float | str | None
    share: float
    threshold: float | None
    escalated: float
    expected: float
    p50_ms: float | None
    p99_ms: float | None
    late: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """A side's processor time: of 1,000 requests, s; cores at this rate."""

    cpu_s_per_thousand: float
    cores: float


@dataclass(frozen=True, slots=True)
class Cut:
    """What so many rungs at the agent would mean; `largest_rate` as in `Plan`."""

    held: int
    memory_mb: float
    fits: bool
    edge: Resource
    gateway: Resource
    link: Resource
    largest_rate: float
    ends: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    `saturates` is the resource that would be used up first; `largest_rate` is the most images a
    second at each agent of which at most `LATE` are late; `carried` whether the asked rate is less.
    `agents_per_gateway` is how many such agents one gateway serves, None where none of them needs
    it.
    """

    task: str
    version: str
    asked: Asked
    held: int
    choice: Choice
    rows: tuple[Row, ...]
    overall: Row
    demand: Demand
    resources: tuple[Resource, ...]
    edge: Use
    gateway: Use
    saturates: Resource
    largest_rate: float
    carried: bool
    agents_per_gateway: int | None
    cuts: tuple[Cut, ...]


def make_plan(
    task: Task,
    asked: Asked,
    edge: EdgeCosts,
    gateway: GatewayCosts,
    *,
    requests: int = REQUESTS,
    seed: int = 1,
) -> Plan:
    """Plan for a task. Raises TargetUnreachable, RepositoryError, and InvalidRequest."""
    scores = task.scores()
    targets = targets_of(task, scores, asked.mix, asked.delta)
    choice = choose(task, scores, asked, edge)
    held = choice.held if asked.rungs is None else asked.rungs
    if not 1 <= held <= len(task.rungs):
        raise InvalidRequest(
            f"task {task.name} has {len(task.rungs)} rungs, not {held}", hint="Give --rungs less."
        )
    held = min(held, choice.fits)
    models = [
        Model(asked, targets, chain_of(scores, task.thresholds, count), edge, gateway)
        for count in range(1, len(task.rungs) + 1)
    ]
    cuts = tuple(_cut(model, choice, seed) for model in models)
    model, mine = models[held - 1], cuts[held - 1]
    found = _demand(model)
    used = resources(asked, found, edge, gateway)
    saturates = first_to_saturate(used)
    steady = asked.rate < saturates.saturates_at
    outcomes = simulate(model, requests, seed)
    if steady:
        used = simulated(used, model, outcomes)
    rows = tuple(
        _row(target, place, outcomes, model, steady) for place, target in enumerate(targets)
    )
    overall = _overall(rows, outcomes, steady)
    return Plan(
        task=task.name,
        version=task.version,
        asked=asked,
        held=held,
        choice=choice,
        rows=rows,
        overall=overall,
        demand=found,
        resources=tuple(used),
        edge=_use(used[0], asked.rate),
        gateway=_use(used[2], asked.rate * asked.agents),
        saturates=saturates,
        largest_rate=mine.largest_rate,
        carried=steady and (overall.late or 0.0) <= LATE,
        agents_per_gateway=agents_per_gateway(model, seed),
        cuts=cuts,
    )


def _demand(model: Model) -> Demand:
    return demand(model.asked, model.targets, model.chain, model.edge, model.gateway)


def _at_rate(model: Model, rate: float) -> Model:
    return replace(model, asked=replace(model.asked, rate=rate))


def _shared_by(model: Model, agents: int) -> Model:
    return replace(model, asked=replace(model.asked, agents=agents))


def _carries(model: Model, seed: int) -> bool:
    used = resources(model.asked, _demand(model), model.edge, model.gateway)
    if model.asked.rate >= first_to_saturate(used).saturates_at:
        return False
    return float(simulate(model, _SEARCHED, seed).late.mean()) <= LATE


def largest_rate(model: Model, seed: int = 1) -> float:
    """The most images a second at each agent; 0 where even single ones come too late."""
    used = resources(model.asked, _demand(model), model.edge, model.gateway)
    high = first_to_saturate(used).saturates_at * _NEAR
    low = high / 1e3
    if not low > 0 or not _carries(_at_rate(model, low), seed):
        return 0.0
    for _ in range(_STEPS):
        middle = math.sqrt(low * high) if high > 2 * low else (low + high) / 2
        if _carries(_at_rate(model, middle), seed):
            low = middle
        else:
            high = middle
    return low


def agents_per_gateway(model: Model, seed: int = 1) -> int | None:
    """How many agents at this rate one gateway serves; 0 where it is too much for one already."""
    found = _demand(model)
    if found.up == 0:
        return None
    low, high = 0, 1
    while high <= _MOST_AGENTS and _carries(_shared_by(model, high), seed):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _carries(_shared_by(model, middle), seed):
            low = middle
        else:
            high = middle
    return low


def _cut(model: Model, choice: Choice, seed: int) -> Cut:
    used = resources(model.asked, _demand(model), model.edge, model.gateway)
    first = first_to_saturate(used)
    if model.asked.rate < first.saturates_at:
        used = simulated(used, model, simulate(model, _SEARCHED, seed))
    edge, link, gateway = used[:3]
    most = largest_rate(model, seed)
    held = model.chain.held
    return Cut(
        held=held,
        memory_mb=choice.memory_mb[held - 1],
        fits=held <= choice.fits,
        edge=edge,
        gateway=gateway,
        link=link,
        largest_rate=most,
        ends=first.name if most > _BOUND * first.saturates_at else "deadline",
        why=choice.reasons[held - 1],
    )


def _row(target: Target, place: int, outcomes: Outcomes, model: Model, steady: bool) -> Row:
    mine = outcomes.target == place
    escalated = float((target.doubtful & model.chain.up).mean())
    expected = target.expected
    late: float | None = None
    if steady:
        late = _share(outcomes.late[mine])
        # Who escalates and is late gets the edge's answer.
        expected -= escalated * _share(outcomes.late[mine & outcomes.escalated]) * target.degraded
    return Row(
        target.asked.accuracy.as_json(),
        target.share,
        target.threshold,
        escalated,
        expected,
        *_percentiles(outcomes.ms[mine], steady),
        late,
    )


def _overall(rows: Sequence[Row], outcomes: Outcomes, steady: bool) -> Row:
    return Row(
        None,
        1.0,
        None,
        sum(row.share * row.escalated for row in rows),
        sum(row.share * row.expected for row in rows),
        *_percentiles(outcomes.ms, steady),
        _share(outcomes.late) if steady else None,
    )


def _share(flags: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _percentiles(
    ms: np.ndarray[tuple[int, ...], np.dtype[np.float64]], steady: bool
) -> tuple[float | None, float | None]:
    if not steady or not len(ms):
        return None, None
    middle, tail = np.percentile(ms, (50, 99), method="higher")
    return float(middle), float(tail)


def simulated(used: Sequence[Resource], model: Model, outcomes: Outcomes) -> list[Resource]:
    """With the processor time that was simulated: who finds nothing to follow takes longer."""
    asked = model.asked
    cores = {
        EDGE: asked.rate * outcomes.edge_cpu_ms / 1e3 + model.edge.idle_cores,
        GATEWAY: asked.agents * asked.rate * outcomes.gateway_cpu_ms / 1e3
        + model.gateway.idle_cores,
    }
    return [replace(one, used=cores.get(one.name, one.used)) for one in used]


def _use(cpu: Resource, rate: float) -> Use:
    """Of a side that answers so many requests a second; idling is shared out among them."""
    return Use(1e3 * cpu.used / rate, cpu.used)
