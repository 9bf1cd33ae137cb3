"""The simulation against closed forms, and the laws that it obeys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.planning.asked import Link
from hawkvision.planning.demand import demand, first_to_saturate, resources
from hawkvision.planning.simulate import simulate
from tests.planning.made import model

_FAST = Link(0.0, 1e6, 1e6)


def test_an_agent_alone_is_m_d_1() -> None:
    outcomes = simulate(model(rate=300, threshold=0.0), 200_000)
    load = 0.6
    assert outcomes.ms.mean() == pytest.approx(2 + 2 * load / (2 * (1 - load)), rel=0.03)
    assert outcomes.edge_cpu_ms == pytest.approx(2.0)
    assert not outcomes.escalated.any() and outcomes.gateway_cpu_ms == 0


def test_workers_each_have_a_queue() -> None:
    outcomes = simulate(model(rate=1200, threshold=0.0, edge_cores=4), 200_000)
    load = 0.6
    assert outcomes.ms.mean() == pytest.approx(2 + 2 * load / (2 * (1 - load)), rel=0.03)


def test_a_gateway_of_many_agents_is_m_d_1() -> None:
    """Each sends everything; what the others send is Poisson."""
    found = model(rate=4.0, threshold=2.0, edge_ms=0.0, link=_FAST, agents=40)
    outcomes = simulate(found, 20_000)
    load = 4.0 * 40 * 4 / 1e3
    assert outcomes.escalated.all()
    assert outcomes.ms.mean() == pytest.approx(4 + 4 * load / (2 * (1 - load)), rel=0.05)


def test_a_link_takes_its_round_trip_and_its_bytes() -> None:
    found = model(rate=1.0, threshold=2.0, edge_ms=1.0, gateway_ms=3.0, link=Link(50, 8, 8))
    outcomes = simulate(found, 20_000)
    bytes_ms = (found.chain.image_bytes.mean() + 250 + 300) / 1e3
    assert np.median(outcomes.ms) == pytest.approx(1 + 3 + 50 + bytes_ms, rel=0.02)


def test_a_full_link_is_m_d_1_too() -> None:
    found = model(rate=50.0, threshold=2.0, edge_ms=0.0, gateway_ms=0.0, link=Link(0, 6, 1e6))
    found = replace(
        found, chain=replace(found.chain, image_bytes=np.full_like(found.chain.image_bytes, 8750.0))
    )
    outcomes = simulate(found, 200_000)
    load = 50.0 * 12 / 1e3  # 9,000 bytes at 6 Mbit/s take 12 ms
    assert outcomes.ms.mean() == pytest.approx(12 + 12 * load / (2 * (1 - load)), rel=0.03)


def test_after_the_deadline_the_edge_s_answer_goes_out() -> None:
    found = model(rate=1.0, threshold=0.5, link=Link(2000, 8, 8))
    outcomes = simulate(found, 10_000)
    assert (outcomes.late == outcomes.escalated).all()
    assert outcomes.ms.max() == 1000.0


@settings(max_examples=30, deadline=None)
@given(st.floats(5, 200), st.floats(0.05, 0.95), st.floats(0.0, 1.0), st.integers(1, 2))
def test_nobody_waits_less_at_a_higher_rate(
    rate: float, slower: float, threshold: float, held: int
) -> None:
    found = model(rate=rate, threshold=threshold, held=held, escalate_ms=0.5, audit_share=0.1)
    high = simulate(found, 3000)
    low = simulate(replace(found, asked=replace(found.asked, rate=rate * slower)), 3000)
    assert (high.ms >= low.ms - 1e-6).all()
    assert (high.escalated == low.escalated).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(1, 3), st.floats(0.0, 0.5), st.integers(1, 4))
def test_processor_time_is_that_of_the_demand(
    threshold: float, held: int, audits: float, cores: int
) -> None:
    found = model(
        threshold=threshold, rungs=3, held=held, escalate_ms=1.0, audit_share=audits,
        edge_cores=cores,
    )  # fmt: skip
    asked, outcomes = found.asked, simulate(found, 20_000)
    needed = demand(asked, found.targets, found.chain, found.edge, found.gateway)
    assert outcomes.edge_cpu_ms == pytest.approx(needed.edge_ms, rel=0.05)
    assert outcomes.gateway_cpu_ms == pytest.approx(needed.gateway_ms, rel=0.15, abs=0.05)
    assert outcomes.escalated.mean() == pytest.approx(needed.escalated, rel=0.15, abs=0.01)


@given(st.floats(0.1, 1000), st.integers(1, 50), st.integers(1, 8), st.integers(1, 8))
def test_the_utilisation_law(rate: float, agents: int, edge: int, gateway: int) -> None:
    found = model(rate=rate, agents=agents, edge_cores=edge, gateway_cores=gateway, audit_share=0.1)
    needed = demand(found.asked, found.targets, found.chain, found.edge, found.gateway)
    used = resources(found.asked, needed, found.edge, found.gateway)
    by_name = {one.name: one for one in used}
    assert by_name["edge CPU"].used == pytest.approx(rate * needed.edge_ms / 1e3)
    assert by_name["gateway CPU"].used == pytest.approx(agents * rate * needed.gateway_ms / 1e3)
    assert by_name["link up"].used == pytest.approx(rate * needed.up_bytes * 8 / 1e6)
    for one in used:
        assert one.utilisation * one.saturates_at == pytest.approx(rate) or one.used == 0
    end = first_to_saturate(used)
    assert all(one.saturates_at >= end.saturates_at for one in used)


def test_the_same_question_has_the_same_answer() -> None:
    found = model()
    assert (simulate(found, 5000).ms == simulate(found, 5000).ms).all()
    assert (simulate(found, 5000).ms != simulate(found, 5000, seed=2).ms).any()
