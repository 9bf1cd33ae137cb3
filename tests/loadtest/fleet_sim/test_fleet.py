"""A simulated fleet counts each answer once, whatever is out, and is the same for a seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.bench.fleet_sim import results
from loadtest.bench.fleet_sim.fleet import Ran, SimulatedFleet
from loadtest.bench.fleet_sim.record import ANSWERED, DEGRADED, ESCALATED, EXPECTED, RIGHT
from loadtest.bench.fleet_sim.settings import GatewayCosts, Phase, Simulation
from loadtest.bench.fleet_sim.store import Server
from tests.loadtest.fleet_sim.conftest import small


def _run(plan: Simulation) -> Ran:
    return SimulatedFleet(plan).run()


def _each_once(ran: Ran) -> None:
    found = results.conserved(ran)
    assert found["requests"] > 1000
    assert found["answered"] == found["requests"]
    assert found["counted"] + found["kept"] + found["lost"] == found["answered"]


def test_every_answer_is_counted_once() -> None:
    ran = _run(small())
    _each_once(ran)
    assert ran.record.counted == ran.requests


def test_every_answer_is_counted_once_across_an_outage() -> None:
    ran = _run(small(outage=(10.0, 25.0)))
    _each_once(ran)
    assert ran.record.counted == ran.requests
    assert max(ran.record.waiting[10:26]) > 12
    assert ran.record.waiting[-1] == 0
    assert ran.record.counted_by[24] == ran.record.counted_by[11]


def test_where_the_store_never_comes_back_all_is_kept() -> None:
    ran = _run(small(outage=(10.0, 1e9)))
    _each_once(ran)
    assert ran.record.kept == pytest.approx(ran.requests * 0.75, rel=0.1)


def test_a_store_without_time_loses_nothing() -> None:
    ran = _run(small(server=Server(0.02, 0.0, 0.0, 0.0)))
    _each_once(ran)
    assert ran.store.timeouts > 100


def test_a_fleet_without_room_in_its_gateways_answers_all_the_same() -> None:
    ran = _run(small(costs=GatewayCosts(threads=1, slots=1, each_s=0.4)))
    _each_once(ran)
    sums = ran.record.between(0, 60)
    assert sums[DEGRADED].sum() > 100
    assert sums[ESCALATED].sum() > 30
    totals = [one.totals for one in ran.gateways]
    assert sum(one.refused + one.late for one in totals) > 50


def test_a_seed_says_everything_and_another_one_something_else() -> None:
    first, again, other = (_run(small(seed=seed)) for seed in (3, 3, 4))
    assert first.record.sums.tolist() == again.record.sums.tolist()
    assert first.record.escalations == again.record.escalations
    assert first.store.ledger == again.store.ledger
    assert [time_s for time_s, _ in first.record.thresholds] == [
        time_s for time_s, _ in again.record.thresholds
    ]
    assert other.record.sums.tolist() != first.record.sums.tolist()


def test_accuracy_is_that_of_the_scores() -> None:
    plan = small(agents=100, rate=10.0, phases=(Phase(20.0, 0.0),))
    ran = _run(plan)
    sums = ran.record.between(0, 20)
    for place, target in enumerate(plan.targets):
        threshold = ran.policy.curve.thresholds[ran.policy.curve.index_for(target)]
        expected, escalated = ran.traffic.expected(float(threshold), 0.0)
        n = sums[ANSWERED, place]
        five_sigma = 5 * (0.25 / n) ** 0.5
        assert sums[EXPECTED, place] / n == pytest.approx(expected, abs=five_sigma)
        assert sums[ESCALATED, place] / n >= escalated - five_sigma
        assert sums[RIGHT, place] / n >= expected - five_sigma


def test_thresholds_follow_a_drift_but_not_without_a_store() -> None:
    plan = small(agents=60, rate=10.0, phases=(Phase(10.0, 0.0), Phase(40.0, 0.8)))
    steered, out = _run(plan), _run(replace(plan, outage=(8.0, 1e9)))
    place = plan.targets.index(0.9)
    late, alone = (one.record.between(35, 50) for one in (steered, out))
    assert late[RIGHT, place] / late[ANSWERED, place] > alone[RIGHT, place] / alone[ANSWERED, place]
    assert late[ESCALATED, place] > alone[ESCALATED, place]


def test_audits_are_the_share_that_agents_ask_for() -> None:
    ran = _run(small(agents=50, rate=10.0, phases=(Phase(20.0, 0.0),)))
    local = ran.record.sums[ANSWERED].sum() - ran.record.sums[ESCALATED].sum()
    assert 0.02 < ran.record.audits / local < 0.1
