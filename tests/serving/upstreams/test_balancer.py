"""Who is asked, replayed without a clock."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.upstreams.balancer import (
    Balancer,
    BalancerSettings,
    Change,
    Fault,
    Lease,
    Unavailable,
)
from hawkvision.serving.upstreams.ejection import EjectionSettings
from hawkvision.serving.upstreams.endpoint import MOST_MODELS
from hawkvision.serving.upstreams.groups import Groups
from hawkvision.serving.upstreams.retry_budget import BudgetSettings

MODEL = ("tiny", "1")
OTHER = ("other", "1")


def balancer(groups: Groups = (("a", "b"), ("c",)), **settings: object) -> Balancer:
    return Balancer(groups, BalancerSettings(**settings), random.Random(1))  # type: ignore[arg-type]


def begun(one: Balancer, now: float = 0.0, within_s: float = 1.0) -> Lease:
    lease = one.begin(MODEL, now, within_s)
    assert isinstance(lease, Lease)
    return lease


def fail(one: Balancer, address: str, now: float = 0.0, times: int = 5) -> None:
    """Calls to an address are not answered."""
    while times:
        lease = one.begin(MODEL, now, 1.0)
        assert isinstance(lease, Lease)
        if lease.address == address:
            one.failed(lease, Fault.UNREACHABLE, "refused", now)
            times -= 1
        else:
            one.spoke(lease, now)


def asked(one: Balancer, now: float = 0.0, times: int = 60) -> set[str]:
    leases = [begun(one, now) for _ in range(times)]
    for lease in leases:
        one.answered(lease, now)
    return {lease.address for lease in leases}


def changes(one: Balancer) -> list[tuple[Change, str]]:
    return [(event.what, event.address) for event in one.events()]


def test_the_first_group_shares_all_calls() -> None:
    one = balancer()
    count = Counter(begun(one).address for _ in range(20))
    assert count == {"a": 10, "b": 10}


def test_when_the_first_group_fails_the_next_one_is_asked_until_it_is_back() -> None:
    one = balancer()
    for address in ("a", "b"):
        fail(one, address)
    assert asked(one) == {"c"}
    assert changes(one) == [(Change.GONE, "a"), (Change.GONE, "b")]
    for address in ("a", "b"):
        one.silent(address, "down", 0.1)
        one.heard(address, 0.2)
    for _ in range(2):
        one.answered(begun(one, 0.2), 0.2)
    assert asked(one, 0.2) == {"a", "b"}
    assert set(changes(one)) == {(Change.BACK, "a"), (Change.BACK, "b")}


def test_where_all_fail_calls_end_at_once_and_one_is_tried_each_second() -> None:
    one = balancer()
    for address in "abc":
        fail(one, address)
    assert one.begin(MODEL, 0.9, 1.0) is Unavailable.LEFT_OUT
    assert one.held_back
    tried = 0
    for step in range(1, 11):
        lease = one.begin(MODEL, float(step) + 0.001 * step, 1.0)
        while isinstance(lease, Lease):
            tried += 1
            one.failed(lease, Fault.UNREACHABLE, "refused", step + 0.001 * step)
            lease = one.begin(MODEL, step + 0.001 * step, 1.0)
    assert 10 <= tried <= 30


def test_who_does_not_say_how_he_is_gets_no_probe() -> None:
    one = balancer((("a",),))
    one.watched("a", offered=True)
    fail(one, "a")
    one.silent("a", "down", 0.1)
    assert one.begin(MODEL, 100.0, 1.0) is Unavailable.LEFT_OUT
    one.heard("a", 100.0)
    assert isinstance(one.begin(MODEL, 100.0, 1.0), Lease)


def test_one_model_that_fails_leaves_the_others_alone() -> None:
    one = balancer((("a",),))
    for _ in range(5):
        one.failed(begun(one), Fault.BROKEN, "INTERNAL", 0.0)
    assert one.begin(MODEL, 0.5, 1.0) is Unavailable.LEFT_OUT
    assert isinstance(one.begin(OTHER, 0.5, 1.0), Lease)
    assert [event.model for event in one.events()] == [MODEL]


def test_who_hangs_is_spared_at_once_and_left_out_when_it_does_not_say_how_it_is() -> None:
    one = balancer((("a",), ("b",)))
    one.watched("a", offered=True)
    leases = [begun(one) for _ in range(3)]
    for lease in leases:
        one.left(lease, 0.3)
    assert {lease.address for lease in leases} == {"a"}
    assert (asked(one, 0.3), changes(one)) == ({"b"}, [])
    one.silent("a", "no answer to a health check", 0.8)
    assert changes(one) == [(Change.GONE, "a")]


def test_only_a_time_that_was_fair_speaks_against_an_upstream() -> None:
    one = balancer((("a",),))
    for waited_s in (0.1,) * 20 + (0.3,) * 4:
        lease = begun(one)
        one.failed(lease, Fault.LATE, "no answer", waited_s)
    assert changes(one) == []
    one.failed(begun(one), Fault.LATE, "no answer", 0.3)
    assert changes(one) == [(Change.GONE, "a")]


def test_who_is_slow_and_says_that_it_serves_stays_for_calls_with_time() -> None:
    one = balancer((("a",),))
    one.watched("a", offered=True)
    for _ in range(3):
        one.left(begun(one, 0.0, 0.3), 0.3)
        one.heard("a", 0.3)
    begun(one, 0.4, 0.3)  # explores
    assert one.begin(MODEL, 0.5, 0.3) is Unavailable.TOO_SLOW
    assert isinstance(one.begin(MODEL, 0.5, 1.0), Lease)
    assert changes(one) == []


def test_a_call_that_is_due_too_soon_for_the_near_one_goes_to_one_that_is_quicker() -> None:
    one = balancer((("a",), ("b",)))
    for _ in range(16):
        one.answered(begun(one, 0.0), 0.5)
    assert begun(one, 0.5, 0.1).address == "b"
    assert begun(one, 0.5, 0.6).address == "a"


def test_a_version_is_asked_for_where_it_is_and_where_nobody_has_it_only_once() -> None:
    one = balancer((("a",), ("b",)))
    lease = begun(one)
    one.lacked(lease, "no such version", 0.0)
    second = one.again(MODEL, 0.0, 1.0, {lease.address})
    assert isinstance(second, Lease)
    one.lacked(second, "no such version", 0.0)
    third = begun(one, 0.1)
    one.lacked(third, "no such version", 0.1)
    assert one.again(MODEL, 0.1, 1.0, {third.address}) is Unavailable.LEFT_OUT
    assert changes(one) == [(Change.LACKS, "a"), (Change.LACKS, "b")]
    one.answered(begun(one, 0.2), 0.2)
    assert [what for what, _ in changes(one)] == [Change.HAS]


def test_who_is_full_rests_while_others_have_room() -> None:
    one = balancer((("a",), ("b",)))
    one.full(begun(one), 30.0, 0.0)
    assert asked(one, 0.5) == {"b"}
    assert asked(one, 1.1) == {"a"}
    lonely = balancer((("a",),))
    lonely.full(begun(lonely), 30.0, 0.0)
    assert begun(lonely).address == "a"


def test_who_is_about_to_stop_is_asked_only_where_nobody_else_is() -> None:
    one = balancer((("a",), ("b",)))
    one.heard("a", 0.0, draining=True)
    assert asked(one) == {"b"}
    one.heard("b", 0.0, draining=True)
    assert asked(one) == {"a"}


def test_second_calls_stay_within_their_budget() -> None:
    one = balancer((("a", "b"),), budget=BudgetSettings(share=0.1, per_s=0.0, most=3.0))
    again = 0
    for _ in range(100):
        lease = begun(one)
        second = one.again(MODEL, 0.0, 1.0, {lease.address})
        again += isinstance(second, Lease)
        for ended in (lease, second):
            if isinstance(ended, Lease):
                one.spoke(ended, 0.0)
    assert again <= 3 + 0.1 * 100


def test_what_is_remembered_of_models_has_a_bound() -> None:
    one = balancer((("a",),))
    for number in range(3 * MOST_MODELS):
        lease = one.begin(("tiny", str(number)), 0.0, 1.0)
        assert isinstance(lease, Lease)
        one.answered(lease, 0.0)
    assert len(one.endpoints[0].models) == MOST_MODELS


ENDS = st.sampled_from(["answered", *Fault, "lacked", "full", "spoke", "left"])
STEPS = st.lists(st.tuples(st.floats(0, 0.7), st.integers(0, 3), ENDS), max_size=120)


@given(STEPS, st.booleans())
def test_whatever_happens_calls_are_counted_right_and_pass_again(
    steps: list[tuple[float, int, str | Fault]], keep_one: bool
) -> None:
    settings = EjectionSettings(failures=2, longest_s=4.0, keep_one=keep_one)
    one, now = balancer(ejection=settings), 0.0
    open_leases: list[Lease] = []
    for pause_s, ends, how in steps:
        now += pause_s
        lease = one.begin(MODEL, now, 0.5)
        if isinstance(lease, Lease):
            open_leases.append(lease)
        for _ in range(min(ends, len(open_leases))):
            end(one, open_leases.pop(), how, now)
        assert sum(found.in_flight for found in one.endpoints) == len(open_leases)
    for lease in open_leases:
        one.left(lease, now)
    assert all(found.in_flight == 0 for found in one.endpoints)
    assert isinstance(one.begin(MODEL, now + 40.0, 0.5), Lease)


def end(one: Balancer, lease: Lease, how: str | Fault, now: float) -> None:
    if isinstance(how, Fault):
        one.failed(lease, how, "as scripted", now)
    elif how == "lacked":
        one.lacked(lease, "as scripted", now)
    elif how == "full":
        one.full(lease, 1.0, now)
    else:
        {"answered": one.answered, "spoke": one.spoke, "left": one.left}[how](lease, now)


@given(STEPS)
def test_who_is_to_be_kept_is_reached_as_a_whole(
    steps: list[tuple[float, int, str | Fault]],
) -> None:
    one, now = balancer(ejection=EjectionSettings(failures=2, keep_one=True)), 0.0
    for pause_s, _, how in steps:
        now += pause_s
        lease = one.begin(MODEL, now, 100.0)
        if isinstance(lease, Lease):
            end(one, lease, Fault.UNREACHABLE if how is Fault.BROKEN else how, now)
        assert any(found.healthy for found in one.endpoints)
        assert isinstance(lease, Lease)
