"""What the log says when thresholds come into another state."""

from __future__ import annotations

from edge_agent.fleet.changes import changes
from hawkvision.tracking.records import ThresholdState


def states(**named: str) -> dict[str, ThresholdState]:
    return {
        name.replace("_", ":"): ThresholdState(name.replace("_", ":"), 0.75, state, 1, 0.0)
        for name, state in named.items()
    }


def test_what_begins_as_it_should_is_no_change() -> None:
    assert list(changes({}, states(a="holding", frozen_gate="free"))) == []


def test_each_state_that_is_entered_is_one_line() -> None:
    before = states(a="holding", b="holding", c="alarm")
    after = states(a="steering", b="steering", c="holding", frozen_gate="frozen")
    assert list(changes(before, after)) == [
        ("frozen", "app gate"),
        ("holding", "c"),
        ("steering", "a at 0.750, b at 0.750"),
    ]
    assert list(changes(after, after)) == []


def test_many_are_counted_not_listed() -> None:
    after = states(**{f"t{index}": "steering" for index in range(200)})
    ((state, who),) = changes({}, after)
    assert state == "steering" and who.endswith("and 195 more") and len(who) < 120


def test_what_is_gone_is_as_at_the_start() -> None:
    assert list(changes(states(a="alarm", b="holding"), {})) == [("holding", "a")]
