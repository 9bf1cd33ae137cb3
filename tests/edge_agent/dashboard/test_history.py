from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dashboard.history import MINUTES, SECONDS, History
from edge_agent.dashboard.ticks import Tick

ALWAYS = float("-inf")


def test_a_second_is_there_once_it_is_over() -> None:
    history = History()
    history.add(100, Tick(answers=7))
    history.close(100.9)
    assert history.seconds.columns(ALWAYS)["t"] == []
    history.close(101.0)
    assert history.seconds.columns(ALWAYS)["rate"] == [7.0]


def test_workers_of_one_second_add_up_while_they_may_tell() -> None:
    history = History(grace_s=1)
    history.add(100, Tick(answers=7))
    history.close(101.5)
    history.add(100, Tick(answers=5))
    history.close(102.0)
    assert history.seconds.columns(ALWAYS)["rate"] == [12.0]


def test_what_comes_too_late_counts_for_the_next_second() -> None:
    history = History()
    history.add(100, Tick(answers=7))
    history.close(101.0)
    history.add(100, Tick(answers=5))
    history.close(102.0)
    assert history.seconds.columns(ALWAYS)["rate"] == [7.0, 5.0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=30))
def test_no_answer_is_lost_however_late_it_is_told(told: list[tuple[int, int]]) -> None:
    history = History()
    for second, now in told:
        history.add(second, Tick(answers=1))
        history.close(now)
    history.close(1000.0)
    assert sum(history.seconds.columns(ALWAYS)["rate"]) == len(told)


def test_a_minute_is_the_mean_of_the_seconds_that_there_were() -> None:
    history = History()
    for second in range(130, 180):
        history.add(second, Tick(answers=3))
    history.close(180.0)
    minutes = history.minutes.columns(ALWAYS)
    assert (minutes["t"], minutes["rate"]) == ([120], [3.0])


@given(st.integers(0, 2 * SECONDS))
def test_no_more_than_ten_minutes_are_kept_by_seconds(count: int) -> None:
    history = History()
    for second in range(count):
        history.add(second, Tick(answers=1))
        history.close(second + 1.0)
    assert len(history.seconds) == min(count, SECONDS)


def test_no_more_than_a_day_is_kept_by_minutes() -> None:
    history = History()
    for minute in range(MINUTES + 100):
        history.add(60 * minute, Tick(answers=1))
        history.close(60.0 * minute + 60)
    assert len(history.minutes) == MINUTES
    assert history.minutes.columns(ALWAYS)["t"][-1] == 60 * (MINUTES + 99)


def test_only_what_is_new_is_told() -> None:
    history = History()
    for second in range(10):
        history.add(second, Tick(answers=second))
    history.close(10.0)
    assert history.seconds.columns(6)["rate"] == [7.0, 8.0, 9.0]


def test_the_last_minute_is_of_sixty_seconds_together() -> None:
    history = History()
    for second in range(100):
        history.add(second, Tick(answers=second >= 40, times={10: 1}))
    history.close(100.0)
    last = history.last_minute()
    assert last is not None and last.rate == 1.0
    assert history.last_seconds == 60


def test_soon_after_the_start_the_last_minute_is_of_fewer_seconds() -> None:
    history = History()
    for second in range(5):
        history.add(second, Tick(refused=12))
    history.close(5.0)
    last = history.last_minute()
    assert last is not None and last.refused * history.last_seconds == 60


def test_before_a_second_is_over_there_is_no_last_minute() -> None:
    assert History().last_minute() is None
