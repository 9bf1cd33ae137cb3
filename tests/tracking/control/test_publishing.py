"""Small moves wait for one another, rises and freezes do not; nothing that moved is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.control.publishing import GAP_S, URGENT_GAP_S, Publishing
from hawkvision.tracking.records import ThresholdState


def state(threshold: float, target: str = "0.9", name: str = "steering") -> ThresholdState:
    return ThresholdState(target, threshold, name, 1, 0.0)


def begun(threshold: float = 0.5) -> tuple[Publishing, dict[str, ThresholdState]]:
    """One that has just published, at 100 s."""
    publishing, first = Publishing(), state(threshold)
    assert publishing.due([first], {}, 100.0) == [first]
    publishing.done(100.0)
    return publishing, {"0.9": first}


def test_small_moves_wait_and_only_the_last_is_published() -> None:
    publishing, published = begun()
    assert publishing.due([state(0.51)], published, 100.3) == []
    assert publishing.over(published) == {"0.9": state(0.51)}
    assert publishing.due([state(0.52)], published, 100.9) == []
    assert publishing.due([], published, 100.0 + GAP_S) == [state(0.52)]


def test_a_rise_does_not_wait_and_a_fall_does() -> None:
    publishing, published = begun()
    assert publishing.due([state(0.3)], published, 100.3) == []
    assert publishing.due([state(0.6)], published, 100.3) == [state(0.6)]


def test_many_small_rises_are_a_rise() -> None:
    publishing, published = begun()
    found = [
        publishing.due([state(0.5 + step / 50)], published, 100.3 + step / 100)
        for step in range(1, 6)
    ]
    assert found[0] == [] and found[-1] == [state(0.6)]


def test_to_escalate_all_is_a_rise() -> None:
    publishing, published = begun(0.95)
    assert publishing.due([state(1.5)], published, 100.3) == [state(1.5)]


def test_an_app_that_is_frozen_or_set_free_does_not_wait() -> None:
    publishing, published = begun()
    frozen = state(0.0, "frozen:gate", "frozen")
    assert publishing.due([frozen], published, 100.3) == [frozen]
    publishing.done(100.3)
    free = state(0.0, "frozen:gate", "free")
    assert publishing.due([free], published | {frozen.target: frozen}, 100.6) == [free]


def test_a_new_target_waits() -> None:
    publishing, published = begun()
    assert publishing.due([state(0.9, "0.95")], published, 100.3) == []


def test_a_publication_that_failed_is_tried_again() -> None:
    publishing, published = begun()
    assert publishing.due([state(0.7)], published, 101.5) == [state(0.7)]
    assert publishing.due([], published, 101.6) == [state(0.7)]
    publishing.done(101.6)
    assert publishing.due([], {"0.9": state(0.7)}, 102.7) == []


def test_who_does_not_lead_any_more_publishes_nothing() -> None:
    publishing, published = begun()
    publishing.due([state(0.52)], published, 100.3)
    publishing.forget()
    assert publishing.due([], published, 105.0) == []
    assert publishing.over(published) == published


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    publishing, published = begun()
    assert publishing.due([state(0.51)], published, 7.0) == [state(0.51)]


moves = st.lists(
    st.tuples(st.floats(0.001, 0.3), st.sampled_from(["0.8", "0.9"]), st.floats(0, 1.2)),
    max_size=60,
)


@given(moves)
def test_publications_keep_their_distance_and_all_arrives(
    steps: list[tuple[float, str, float]],
) -> None:
    publishing, published = Publishing(), dict[str, ThresholdState]()
    wanted: dict[str, ThresholdState] = {}
    now, last = 0.0, None
    for pause_s, target, threshold in [*steps, (2 * GAP_S, "0.8", 0.5)]:
        now += pause_s
        one = wanted[target] = state(threshold, target)
        due = publishing.due([one], published, now)
        if due:
            assert last is None or now - last >= URGENT_GAP_S
            last = now
            published |= {state.target: state for state in due}
            publishing.done(now)
        assert publishing.over(published) == wanted
    assert published == wanted
