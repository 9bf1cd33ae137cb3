"""What has changed among the thresholds in force, in words for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hawkvision.tracking.control.steering import FROZEN
from hawkvision.tracking.records import ThresholdState

HOLDING, FREE = "holding", "free"
_NAMED = 5


def changes(
    before: Mapping[str, ThresholdState], after: Mapping[str, ThresholdState]
) -> Iterator[tuple[str, str]]:
    """A state that targets or apps have come into, and which: one pair for each such state.

    Targets that begin by holding what is certified have not changed. At most five are named.
    """
    entered: dict[str, list[str]] = {}
    for name, state in after.items():
        was = before.get(name)
        if state.state == (_beginning(name) if was is None else was.state):
            continue
        who = name
        if name.startswith(FROZEN):
            who = f"app {name.removeprefix(FROZEN) or '(none)'}"
        elif state.state != HOLDING:
            who = f"{name} at {state.threshold:.3f}"
        entered.setdefault(state.state, []).append(who)
    for name in before.keys() - after.keys():
        if before[name].state != _beginning(name):
            entered.setdefault(_beginning(name), []).append(name.removeprefix(FROZEN))
    for label, names in sorted(entered.items()):
        more = len(names) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield label, ", ".join(sorted(names)[:_NAMED]) + rest


def _beginning(name: str) -> str:
    return FREE if name.startswith(FROZEN) else HOLDING
