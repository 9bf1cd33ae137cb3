"""Whether two runs say the same: every ratio of the later one beside the earlier one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.bench.modeless.analysis import STABLE

_PLACE = ("system", "ladder", "link", "budget", "rate")
_RATIOS = {"p99_ratio": "stable", "goodput_ratio": "goodput_stable"}


def compare(now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> Any:
    """The cells of the map `now`, with what a run `before` found, and how many ratios agree.

    Returns {"cells": cells, "ratios": N, "agree": N, "furthest": share}. Two ratios agree where the
    larger is at most `STABLE` above the smaller; what does not is unstable.
    """
    known = {_place(cell): cell for cell in before}
    made: list[dict[str, Any]] = []
    apart: list[float] = []
    for cell in now:
        earlier = known.get(_place(cell))
        differs = {
            key: max(cell[key], earlier[key]) / min(cell[key], earlier[key]) - 1
            for key in _RATIOS
            if earlier is not None and cell[key] and earlier[key]
        }
        apart += differs.values()
        made.append(
            {
                **cell,
                **{
                    marked: bool(cell[marked] and differs.get(key, 0.0) <= STABLE)
                    for key, marked in _RATIOS.items()
                },
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
