"""When a process that ended starts again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.restarts import PAUSES_S, STABLE_S, Restarts


def test_pauses_grow_and_begin_anew_after_a_stable_run() -> None:
    restarts, now, pauses = Restarts(), 0.0, []
    for _ in range(7):
        restarts.started(now)
        pauses.append(restarts.ended(now + 1))
        now += 1 + pauses[-1]
    assert pauses == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    restarts.started(now)
    assert restarts.ended(now + STABLE_S + 1) == PAUSES_S[0]


@given(st.lists(st.floats(0, 100), max_size=50))
def test_starts_that_fail_do_not_come_faster_than_the_longest_pause(runs_s: list[float]) -> None:
    restarts, now, failed = Restarts(), 0.0, 0
    for run_s in runs_s:
        restarts.started(now)
        failed = failed + 1 if run_s <= STABLE_S else 1
        pause_s = restarts.ended(now + run_s)
        assert pause_s == PAUSES_S[min(failed, len(PAUSES_S)) - 1]
        now += run_s + pause_s
