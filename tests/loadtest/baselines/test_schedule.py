"""Which variant answers whom, and what a memory budget allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import EngineError, Overloaded
from loadtest.baselines.choice import choose, make_way, meeting
from loadtest.baselines.ladder import Variant, useful
from loadtest.baselines.schedule import Asked, Load, Refuse, Run, Scheduler


def variant(name: str, accuracy: float, ms: float, load_ms: float = 20, mb: float = 10) -> Variant:
    return Variant(name, Path(name), "int8", 32, accuracy, ms, load_ms, mb)


LADDER = (variant("s", 0.8, 1), variant("m", 0.9, 4), variant("l", 0.95, 10, 40, 20))


def test_the_cheapest_that_meets_the_target_is_chosen_unless_a_load_costs_more() -> None:
    assert choose(LADDER, 0.85, {"s", "m", "l"}).name == "m"
    assert choose(LADDER, 0.85, {"l"}).name == "l"  # 10 ms against 4 and 20 to load
    assert choose(LADDER, 0.85, {"s"}).name == "m"
    assert choose(LADDER, 0.85, {"l"}, [0.9] * 9).name == "m"  # ten share the load
    assert choose(LADDER, 0.99, set()).name == "l"
    assert [one.name for one in meeting(LADDER, 0.9)] == ["m", "l"]


def test_what_costs_more_and_is_worth_less_is_no_rung() -> None:
    bad = variant("bad", 0.79, 2)
    assert useful([LADDER[2], bad, *LADDER[:2]]) == LADDER


def test_the_least_recently_used_make_way_but_not_those_at_work() -> None:
    resident = {one.name: one for one in LADDER[:2]}
    used = {"s": 2.0, "m": 1.0}
    assert make_way(LADDER[2], resident, used, (), 30) == ["m"]
    assert make_way(LADDER[2], resident, used, {"m"}, 30) == ["s"]
    assert make_way(LADDER[2], resident, used, {"m", "s"}, 30) is None
    assert make_way(LADDER[2], resident, used, (), 40) == []


def test_requests_that_need_no_load_go_before_one_while_there_is_time() -> None:
    scheduler = Scheduler(LADDER, 15, 1)
    scheduler.loaded(Load(LADDER[0], ()), 0.0, 0.0)
    urgent, easy = Asked(0.9, 1.0), Asked(0.8, 2.0)
    scheduler.offer(urgent, 0.0)
    scheduler.offer(easy, 0.0)
    step = scheduler.next(0.0)
    assert isinstance(step, Run) and step.asked is easy
    assert scheduler.next(0.0) is None  # the small one is at work, there is no room beside it
    scheduler.ran(step)
    load = scheduler.next(0.1)
    assert isinstance(load, Load) and (load.variant.name, load.evicted) == ("m", ("s",))
    assert scheduler.next(0.1) is None
    scheduler.loaded(load, 0.2, 0.02)
    last = scheduler.next(0.2)
    assert isinstance(last, Run) and last.asked is urgent and last.variant.name == "m"
    assert (scheduler.loads, scheduler.evictions) == (2, 1)


def test_a_variant_that_does_not_load_refuses_who_would_use_it_and_others_go_on() -> None:
    scheduler = Scheduler(LADDER, 100, 1)
    scheduler.loaded(Load(LADDER[0], ()), 0.0, 0.0)
    for target in (0.9, 0.9, 0.8):
        scheduler.offer(Asked(target, 1e3), 0.0)
    easy = scheduler.next(0.0)
    assert isinstance(easy, Run) and easy.variant.name == "s"
    load, why = scheduler.next(0.0), EngineError("no good")
    assert isinstance(load, Load) and load.variant.name == "m"
    scheduler.failed(load, why)
    for _ in range(2):
        told = scheduler.next(0.0)
        assert isinstance(told, Refuse) and told.why is why and told.asked.target == 0.9
    assert scheduler.waiting == 0 and scheduler.loads == 1 and scheduler.resident == ("s",)


def test_what_cannot_be_in_time_is_refused_and_what_is_late_dropped() -> None:
    scheduler = Scheduler(LADDER, 100, 1)
    for one in LADDER:
        scheduler.loaded(Load(one, ()), 0.0, 0.0)
    for _ in range(5):
        scheduler.offer(Asked(0.95, 0.06), 0.0)
    with pytest.raises(Overloaded):
        scheduler.offer(Asked(0.95, 0.04), 0.0)
    assert len(scheduler.expired(0.06)) == 5 and scheduler.waiting == 0


@given(
    st.lists(st.tuples(st.sampled_from([0.7, 0.85, 0.93]), st.floats(0.01, 1)), max_size=30),
    st.floats(20, 60),
    st.integers(1, 3),
)
def test_everybody_is_answered_within_the_budget(
    asked: list[tuple[float, float]], budget_mb: float, threads: int
) -> None:
    scheduler = Scheduler(LADDER, budget_mb, threads)
    offered = 0
    for target, deadline in asked:
        try:
            scheduler.offer(Asked(target, 1e3 + deadline), 0.0)
            offered += 1
        except Overloaded:
            continue
    answered, resident = 0, dict[str, Variant]()
    for turn in range(200):
        step = scheduler.next(float(turn))
        if isinstance(step, Load):
            for name in step.evicted:
                del resident[name]
            resident[step.variant.name] = step.variant
            scheduler.loaded(step, float(turn), 0.01)
            assert sum(one.memory_mb for one in resident.values()) <= budget_mb
        elif isinstance(step, Run):
            assert step.variant.name in resident
            scheduler.ran(step)
            answered += 1
    assert answered == offered and scheduler.waiting == 0
