"""Time buckets: what a window covers is found, and no age is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.store.buckets import RESOLUTIONS, finest, places

NOW = 1_800_000_003.0
times = st.floats(0, 2e9)


@given(times, st.floats(0, 89_000))
def test_an_event_is_found_by_every_window_that_covers_it(now: float, age: float) -> None:
    kept = dict(places(age, now))
    for window in (300.0, 3600.0, 86_400.0):
        resolution = finest(window)
        if age <= window - resolution.width_s:
            assert kept[resolution] in resolution.span(window, now)
        elif age > window + resolution.width_s:
            assert resolution not in kept or kept[resolution] not in resolution.span(window, now)


@given(times, st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=90_000), st.just(0.0)))
def test_an_age_that_cannot_be_is_now(now: float, age: float) -> None:
    assert places(age, now) == [(one, one.bucket(now)) for one in RESOLUTIONS]
    assert places(float("nan"), now) == places(0.0, now)


def test_resolutions_answer_the_windows_that_are_offered() -> None:
    assert [finest(window) for window in (300, 3600, 86_400)] == list(RESOLUTIONS)
    assert [len(r.span(r.kept_s, NOW)) for r in RESOLUTIONS] == [90, 70, 100]
