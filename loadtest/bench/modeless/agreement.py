"""Whether two runs say the same: every ratio of the later one beside the earlier one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.bench.modeless.analysis import STABLE

_PLACE = ("system", "ladder", "link", "budget", "rate")
_RATIOS = ("p99_ratio", "goodput_ratio")


def compare(now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> Any:
    """The cells of the map `now`, with what a run `before` found, and how many ratios agree.

    Returns {"cells": cells, "ratios": N, "agree": N, "furthest": share}. Two ratios agree where the
    larger is at most `STABLE` above the smaller; a cell in which one does not is unstable.
    """
    known = {_place(cell): cell for cell in before}
    made, apart = [], []
    for cell in now:
        earlier = known.get(_place(cell))
        differs = [
            max(cell[key], earlier[key]) / min(cell[key], earlier[key]) - 1
            for key in _RATIOS
            if earlier is not None and cell[key] and earlier[key]
        ]
        apart += differs
        agrees = all(one <= STABLE for one in differs)
        made.append(
            {
                **cell,
                "stable": bool(cell["stable"] and agrees),
                "before": {key: earlier[key] for key in _RATIOS} if earlier else None,
            }
        )
    return {
        "cells": made,
        "ratios": len(apart),
        "agree": sum(one <= STABLE for one in apart),
        "furthest": max(apart, default=None),
    }


def _place(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[key] for key in _PLACE)
