"""Whole plans of tasks that ship."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest, TargetUnreachable
from hawkvision.planning.asked import Asked, Link, parse_link, parse_mix
from hawkvision.planning.costs import edge_costs, gateway_costs, slower_edge
from hawkvision.planning.plan import Plan, largest_rate, make_plan
from hawkvision.repository import Repository, Task, shipped_repository
from tests.models import SIDE, build_chain, build_tiny_repository
from tests.planning.made import model

_REQUESTS = 8_000


@cache
def _task(name: str = "imagenette") -> Task:
    return Repository(shipped_repository()).open(name)


def _asked(**changes: object) -> Asked:
    base = Asked(50.0, parse_mix("0.85:1,0.90:2,0.91:1"), parse_link("rtt_ms=20,mbit=20"), rungs=1)
    return replace(base, **changes)  # type: ignore[arg-type]


def _plan(asked: Asked, name: str = "imagenette", slower: float = 1.0) -> Plan:
    task = _task(name)
    edge = slower_edge(edge_costs(task), slower)
    return make_plan(task, asked, edge, gateway_costs(task), requests=_REQUESTS)


def test_a_rate_that_is_carried() -> None:
    plan = _plan(_asked())
    assert plan.carried and plan.held == 1
    low, middle, high = plan.rows
    assert low.escalated < middle.escalated < high.escalated
    assert low.p50_ms is not None and high.p99_ms is not None and high.p99_ms > 20
    shares = sum(row.share * row.escalated for row in plan.rows)
    assert plan.overall.escalated == pytest.approx(shares) == pytest.approx(plan.demand.escalated)
    assert [
        row.expected >= target for row, target in zip(plan.rows, (0.85, 0.9, 0.91), strict=True)
    ]
    assert plan.agents_per_gateway is not None and plan.agents_per_gateway > 1
    assert plan.asked.rate < plan.largest_rate < plan.saturates.saturates_at


def test_a_rate_that_is_not_carried_says_what_ends_first() -> None:
    plan = _plan(_asked(rate=5000.0))
    assert not plan.carried and plan.overall.p99_ms is None and plan.overall.late is None
    assert plan.saturates.utilisation > 1
    assert plan.largest_rate < plan.saturates.saturates_at < 5000
    assert plan.rows[1].expected >= 0.9


def test_a_thin_link_ends_first() -> None:
    plan = _plan(_asked(link=Link(20, 0.5, 0.5)))
    assert plan.saturates.name == "link up" and not plan.carried


def test_a_slow_edge_ends_first() -> None:
    plan = _plan(_asked(), slower=30.0)
    assert plan.saturates.name == "edge CPU" and not plan.carried


def test_many_agents_end_the_gateway_first() -> None:
    plan = _plan(_asked(agents=100, gateway_cores=2))
    assert plan.saturates.name == "gateway CPU" and not plan.carried


def test_a_link_that_is_longer_than_the_deadline_carries_nothing() -> None:
    plan = _plan(_asked(link=Link(600, 5, 50), deadline_ms=300.0))
    assert plan.largest_rate == 0 and not plan.carried and plan.agents_per_gateway == 0
    late = plan.rows[1]
    assert late.late == pytest.approx(late.escalated, abs=0.03)
    assert late.expected < 0.9  # the edge's answers go out


def test_auto_is_what_an_agent_chooses() -> None:
    plan = _plan(_asked(rungs=None, memory_mb=30.0))
    assert (plan.held, plan.choice.fits) == (1, 1)
    assert "do not fit" in plan.choice.reasons[1] and not plan.cuts[1].fits
    plan = _plan(_asked(rungs=None))
    assert plan.held == plan.choice.held == 2
    assert plan.overall.escalated == 0 and plan.agents_per_gateway is None
    assert plan.overall.expected == pytest.approx(_plan(_asked()).overall.expected)
    assert _plan(_asked(rungs=2, memory_mb=30.0)).held == 1


def test_audits_cost_what_escalations_do() -> None:
    without, with_audits = _plan(_asked(audit_share=0.0)), _plan(_asked(audit_share=0.1))
    assert with_audits.overall.escalated == pytest.approx(without.overall.escalated)
    more = 0.1 * (1 - without.overall.escalated)
    assert with_audits.demand.up == pytest.approx(without.demand.up + more)
    assert with_audits.gateway.cores > without.gateway.cores


def test_a_user_s_tasks_are_planned_too(tmp_path: Path) -> None:
    task = Repository(build_tiny_repository(tmp_path)).open("tiny")
    asked = Asked(10.0, parse_mix("relative:0.05"), Link(5, 10, 10), rungs=1)
    plan = make_plan(task, asked, edge_costs(task), gateway_costs(task), requests=_REQUESTS)
    assert plan.carried and plan.task == "tiny"


def test_a_task_without_costs_says_what_to_do(tmp_path: Path) -> None:
    task = Repository(build_tiny_repository(tmp_path)).open("tiny")
    bare = replace(task, rungs=tuple(replace(one, measured={}) for one in task.rungs))
    with pytest.raises(InvalidRequest, match="no `milliseconds`"):
        edge_costs(bare)
    known = edge_costs(task), gateway_costs(task)
    asked = Asked(10.0, parse_mix("relative:0.05"), Link(5, 10, 10))
    assert make_plan(bare, asked, *known, requests=_REQUESTS).cuts


def test_a_chain_of_three_rungs_is_cut_anywhere(tmp_path: Path) -> None:
    root = build_chain(tmp_path, {"edge": 3, "middle": 9, "dc": SIDE}, [0.6])
    task = Repository(root).open("tiny")
    asked = Asked(1.0, parse_mix("relative:0.01"), Link(5, 10, 10), rungs=2)
    plan = make_plan(task, asked, edge_costs(task), gateway_costs(task), requests=_REQUESTS)
    assert len(plan.cuts) == len(task.rungs) == 3
    ups = [cut.link.used for cut in plan.cuts]
    assert ups == sorted(ups, reverse=True) and ups[-1] == 0


def test_what_cannot_be_planned() -> None:
    with pytest.raises(TargetUnreachable):
        _plan(_asked(mix=parse_mix("0.99")))
    with pytest.raises(InvalidRequest, match="2 rungs, not 3"):
        _plan(_asked(rungs=3))


@settings(max_examples=12, deadline=None)
@given(st.floats(0.5, 20), st.floats(0.0, 1.0), st.integers(1, 3))
def test_the_largest_rate_is_carried_and_below_saturation(
    edge_ms: float, threshold: float, cores: int
) -> None:
    found = model(edge_ms=edge_ms, threshold=threshold, edge_cores=cores)
    most = largest_rate(found)
    escalated = float(found.targets[0].doubtful.mean())
    ends = [1e3 * cores / edge_ms]
    if escalated:
        ends.append(1e3 / (4 * escalated))
    assert 0 < most < min(ends)
    slow = largest_rate(model(edge_ms=2 * edge_ms, threshold=threshold, edge_cores=cores))
    assert slow <= most * 1.02
