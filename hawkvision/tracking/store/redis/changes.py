"""What is said on the channel of changes: a name, or a task and thresholds that came into force.

Agents that know names only ask the store, whatever is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from hawkvision.tracking.records import Change, ThresholdState, threshold_state

LONGEST = 8192
"""In bytes: a longer text would go to every agent, of which many may not need it."""


def told(task: str, states: Sequence[ThresholdState]) -> str:
    """A text that tells thresholds; the task alone where they are many."""
    text = orjson.dumps([task, *(asdict(state) for state in states)])
    return text.decode() if len(text) <= LONGEST else task


def heard(text: str) -> Change:
    """What a text tells; one that cannot be read is a name of something."""
    if not text.startswith("["):
        return Change(text)
    try:
        task, *states = orjson.loads(text)
        return Change(str(task), tuple(threshold_state(state) for state in states))
    except (ValueError, TypeError, AttributeError, KeyError):
        return Change(text)
