"""Whose statistics may add up: those of one version of a task.

Another version has other confidences and other thresholds. So whatever is counted, steered and
signed of a task is kept under its *counted name*, `TASK@VERSION`, which no task can have. What is
kept so: counts and their windows, receipts, thresholds, and who leads. Agents of several versions
share a store and never meet there. Names without a version are of releases before; nobody reads
them, and they expire.
"""

from __future__ import annotations

_MARK = "@"


def counted(task: str, version: str) -> str:
    """The name under which a version of a task is counted."""
    return f"{task}{_MARK}{version}"


def task_of(name: str) -> str:
    """The task's own name."""
    return name.partition(_MARK)[0]


def version_of(name: str) -> str:
    """The version; empty in names of releases before."""
    return name.partition(_MARK)[2]
