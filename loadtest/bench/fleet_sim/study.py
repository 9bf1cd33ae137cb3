"""The same fleet at several sizes, with and without an outage of its Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from hawkvision.repository import Repository, shipped_repository
from hawkvision.serving.upstreams.groups import MOST
from loadtest.bench.fleet_sim import results
from loadtest.bench.fleet_sim.fleet import Ran, SimulatedFleet
from loadtest.bench.fleet_sim.settings import Phase, Simulation
from loadtest.bench.fleet_sim.traffic import Traffic

BUSY = 0.7
"""Of threads and loop, how much of their time gateways are planned to be at work."""

FULL = 0.01
"""The share of calls that a Redis leaves unanswered from which it counts as full."""

_LEAST_REQUESTS = 4000.0
"""A drift lasts so many requests at least: what steers counts requests, and not seconds."""

Say = Callable[[str], None]
Progress = Callable[[float, float], None]
"""Told the virtual seconds that passed and how many there are."""


@dataclass(frozen=True)
class Study:
    """`plan` says what is the same for all `sizes`; its gateways are for each of them, 0: as many
    as it takes. `outage_s` is how long the Redis is out from when the drift begins, 0: not."""

    plan: Simulation
    sizes: tuple[int, ...]
    before_s: float
    drifted_s: float
    drifted_share: float
    outage_s: float
    within: float


def run_study(study: Study, say: Say, progress: Progress) -> dict[str, Any]:
    """Run it. Raises HawkVisionError for a task or targets that cannot be."""
    rows = []
    for agents in study.sizes:
        plan = sized(study, agents)
        say(f"{agents} agents, {plan.gateways} gateways, {plan.seconds:g} s")
        began = time.perf_counter()
        ran = _run(plan, progress)
        row = _row(study, ran)
        row["wall_s"] = time.perf_counter() - began
        if study.outage_s:
            out = _with_outage(study, plan)
            say(f"{agents} agents, Redis out for {study.outage_s:g} s")
            row["outage"] = results.outage(_run(out, progress), ran)
            row["wall_s"] = time.perf_counter() - began
        rows.append(row)
    return {"plan": asdict(study.plan), "sizes": rows}


def sized(study: Study, agents: int) -> Simulation:
    """The plan of one size: drifts long enough to be followed, gateways enough to follow."""
    plan = study.plan
    drifted_s = max(study.drifted_s, math.ceil(_LEAST_REQUESTS / (agents * plan.rate)))
    phases = (Phase(study.before_s, 0.0), Phase(drifted_s, study.drifted_share))
    plan = replace(plan, agents=agents, phases=phases)
    return replace(plan, gateways=plan.gateways or gateways_for(plan))


def gateways_for(plan: Simulation) -> int:
    """How many gateways keep threads and loop below `BUSY` at the worst that is to come."""
    task = Repository(shipped_repository()).open(plan.task)
    traffic = Traffic.of(task, plan.drift)
    worst = max(plan.phases, key=lambda phase: phase.drifted)
    escalated = [traffic.needed(target, worst.drifted)[1] for target in plan.targets]
    share = sum(escalated) / len(escalated)
    share += (1 - share) * 3 * plan.agent.audit_share  # all audits boosted
    calls = plan.agents * plan.rate * share
    each_s = max(plan.costs.alone_s / plan.costs.threads, plan.costs.front_s)
    return max(1, math.ceil(calls * each_s / BUSY))


def _with_outage(study: Study, plan: Simulation) -> Simulation:
    """Out as the drift begins; then as long again for what waited, and a minute more."""
    begin, end = study.before_s, study.before_s + study.outage_s
    seconds = max(plan.phases[-1].seconds, 2 * study.outage_s + 60)
    phases = (plan.phases[0], Phase(seconds, study.drifted_share))
    return replace(plan, phases=phases, outage=(begin, end))


def _run(plan: Simulation, progress: Progress) -> Ran:
    whole = plan.seconds
    return SimulatedFleet(plan).run(lambda seconds: progress(seconds, whole))


def _row(study: Study, ran: Ran) -> dict[str, Any]:
    (calm, begin), (_, end) = results.spans(ran.plan.phases)
    unanswered = ran.store.timeouts / max(1, ran.store.calls)
    redis = {
        "calm": ran.record.rates(begin / 2, begin),
        "drifted": ran.record.rates(begin, end),
        "unanswered": unanswered,
    }
    return {
        "agents": ran.plan.agents,
        "requests_per_s": ran.plan.agents * ran.plan.rate,
        "seconds": ran.plan.seconds,
        "gateway": results.gateways(ran),
        "redis": redis,
        "redis_holds": unanswered < FULL,
        "calm": results.accuracy(ran, calm, begin),
        "thresholds": results.thresholds(ran, begin, end, study.within),
        "known_gateways": min(ran.plan.known, ran.plan.gateways, MOST),
        **results.conserved(ran),
    }
