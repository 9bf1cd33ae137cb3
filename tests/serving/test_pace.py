"""Whether the event loop may do work itself."""

from __future__ import annotations

from hawkvision.serving.pace import Pace


def paced(*seconds: float, light: bool = True) -> Pace:
    pace = Pace(0.003)
    for one in seconds:
        pace.learn(one, light=light)
    return pace


def test_unknown_work_is_not_quick() -> None:
    assert not Pace().quick


def test_short_work_is_quick_and_long_work_is_not() -> None:
    assert paced(0.001).quick
    assert not paced(0.004).quick


def test_one_long_job_ends_it_and_short_ones_bring_it_back() -> None:
    pace = paced(0.001, 0.05)
    assert not pace.quick
    for _ in range(40):
        pace.learn(0.001, light=True)
    assert pace.quick


def test_the_time_of_heavy_jobs_says_nothing_of_light_ones() -> None:
    pace = paced(0.001)
    pace.learn(10.0, light=False)
    assert pace.quick


def test_work_that_is_mostly_heavy_is_not_even_begun() -> None:
    pace = paced(0.001)
    for _ in range(40):
        pace.learn(0.01, light=False)
    assert not pace.quick


def test_the_loop_is_left_alone_with_what_keeps_a_processor_busy_for_a_moment() -> None:
    assert not Pace().alone
    waited, busy = Pace(0.003, alone_s=0.001), Pace(0.003, alone_s=0.001)
    waited.learn(0.0025, 0.0008, light=True)
    busy.learn(0.0025, 0.002, light=True)
    assert waited.quick and waited.alone
    assert busy.quick and not busy.alone


def test_it_asks_for_the_slow_clock_now_and_then() -> None:
    pace = Pace()
    asked = [pace.asks() for _ in range(33)]
    assert asked == [True, *[False] * 15, True, *[False] * 15, True]
