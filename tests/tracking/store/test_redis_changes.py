"""What is said on the channel of changes, by this version and by others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.records import Change, ThresholdState
from hawkvision.tracking.store.redis.changes import LONGEST, heard, told

states = st.builds(
    ThresholdState,
    st.text(max_size=20),
    st.floats(0, 2),
    st.sampled_from(["holding", "steering", "alarm", "frozen"]),
    st.integers(0, 2**53),
    st.floats(0, 1e10),
)


@given(st.text(min_size=1, max_size=20), st.lists(states, min_size=1, max_size=5))
def test_thresholds_are_heard_as_they_were_told(task: str, given: list[ThresholdState]) -> None:
    assert heard(told(task, given)) == Change(task, tuple(given))


def test_many_thresholds_are_a_name() -> None:
    many = [ThresholdState(str(n), 0.5, "steering", 1, 1.0) for n in range(LONGEST // 50)]
    assert heard(told("signs@2", many)) == Change("signs@2")


def test_a_name_alone_is_one() -> None:
    assert heard("apps") == Change("apps")
    assert heard("signs@2") == Change("signs@2")


@given(
    st.one_of(
        st.text(),
        st.text().map(lambda text: f"[{text}"),
        st.sampled_from(["[]", '["a",1]', '["a",{"target":1}]', '["a",[]]', "[[]]"]),
    )
)
def test_whatever_is_said_is_heard(text: str) -> None:
    assert isinstance(heard(text).what, str)
