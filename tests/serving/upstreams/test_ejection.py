"""Leaving out what fails, replayed without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.upstreams.ejection import Ejection, EjectionSettings, Health

SETTINGS = EjectionSettings(failures=3, base_s=1.0, growth=2.0, longest_s=8.0)


def ejected(now: float = 0.0, **more: bool) -> Ejection:
    ejection = Ejection(SETTINGS)
    for _ in range(3):
        ejection.failed(now, **more)
    return ejection


def pauses(ejection: Ejection, count: int, **more: bool) -> list[float]:
    """How long each pause is when every probe fails."""
    now, found = 0.0, []
    for _ in range(count):
        begun = now
        while not ejection.may(now):
            now += 0.25
        found.append(now - begun)
        ejection.failed(now, probe=ejection.begin(), **more)
    return found


def test_single_failures_leave_nobody_out() -> None:
    ejection = Ejection(SETTINGS)
    for _ in range(10):
        ejection.failed(0.0)
        ejection.succeeded(0.0)
    assert ejection.may(0.0)


def test_failures_in_a_row_do_and_it_is_told_once() -> None:
    ejection = Ejection(SETTINGS)
    assert [ejection.failed(0.0) for _ in range(6)] == [False, False, True, False, False, False]
    assert not ejection.may(0.5)


def test_after_the_pause_one_probe_passes() -> None:
    ejection = ejected()
    passed = []
    for _ in range(2):
        passed.append(ejection.may(1.0))
        if passed[-1]:
            assert ejection.begin()
    assert passed == [True, False]
    assert ejection.health is Health.PROBING


def test_a_good_probe_ends_it_and_that_is_told() -> None:
    ejection = ejected()
    ejection.begin()
    assert ejection.succeeded(1.0)
    assert ejection.health is Health.HEALTHY


def test_pauses_grow_up_to_the_longest() -> None:
    assert pauses(ejected(), 6) == [1, 2, 4, 8, 8, 8]


def test_pauses_of_who_is_alone_do_not_grow() -> None:
    assert pauses(ejected(alone=True), 4, alone=True) == [1, 1, 1, 1]


def test_after_a_long_good_time_pauses_are_short_again() -> None:
    ejection = ejected()
    pauses(ejection, 4)
    ejection.succeeded(100.0)
    for now in (101.0, 120.0):
        for _ in range(3):
            ejection.failed(now)
        assert not ejection.may(now + 0.9)
        assert ejection.may(now + 1.0) is (now == 120.0)
        ejection.succeeded(now + 1.0)


def test_failures_of_calls_from_before_the_pause_do_not_prolong_it() -> None:
    ejection = ejected()
    ejection.failed(0.9)
    assert ejection.may(1.0)


def test_a_probe_without_a_verdict_lets_the_next_one_pass() -> None:
    ejection = ejected()
    ejection.no_verdict(probe=ejection.begin())
    assert ejection.may(1.0)


def test_a_sign_of_life_lets_a_probe_pass_at_once() -> None:
    ejection = ejected()
    ejection.retry_at(0.1)
    assert ejection.may(0.1)


def test_one_is_kept_where_that_is_wanted() -> None:
    ejection = Ejection(EjectionSettings(failures=1, keep_one=True))
    ejection.failed(0.0, alone=True)
    assert ejection.may(0.0)
    ejection.failed(0.0, alone=False)
    assert not ejection.may(0.0)


@given(st.lists(st.sampled_from(["begin", "fail", "succeed", "leave", "heard"]), max_size=60))
def test_whatever_happens_a_call_passes_again(events: list[str]) -> None:
    ejection = Ejection(SETTINGS)
    now, probe = 0.0, False
    for event in events:
        now += 0.1
        if event == "begin" and ejection.may(now):
            probe = ejection.begin()
        elif event == "fail":
            ejection.failed(now, probe=probe)
            probe = False
        elif event == "succeed":
            ejection.succeeded(now)
            probe = False
        elif event == "leave":
            ejection.no_verdict(probe=probe)
            probe = False
        elif event == "heard":
            ejection.retry_at(now)
    ejection.no_verdict(probe=probe)
    assert ejection.may(now + SETTINGS.longest_s)
