"""Where a chain is cut: how many of its first rungs an agent holds. Pure; no clock, no link.

The answer of a chain is the same wherever its rungs run, so the cut is a matter of cost alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

AUTO = "auto"
"""In place of a number of rungs: as many as make answers fastest."""

LOCAL_SHARE = 0.5
"""Of the deadline, the most that all rungs at the edge may take for one image."""


@dataclass(frozen=True, slots=True)
class RungCost:
    """What a rung takes: one image here and in the data center, ms; resident memory, MB.

    `reached` is the share of images that comes to it, which never rises from rung to rung.
    """

    edge_ms: float
    dc_ms: float
    memory_mb: float
    reached: float = 1.0


def fitting(memory_mb: Sequence[float], budget_mb: float) -> int:
    """How many of the first rungs fit into a budget; the first one always does."""
    held = sum(total <= budget_mb for total in accumulate(memory_mb))
    return max(1, held)


def expected_ms(costs: Sequence[RungCost], held: int, link_ms: float) -> float:
    """Mean time to an answer with the first `held` rungs here, over a round trip of `link_ms`."""
    here = sum(cost.reached * cost.edge_ms for cost in costs[:held])
    if held == len(costs) or costs[held].reached == 0:
        return here
    there = sum(cost.reached * cost.dc_ms for cost in costs[held:])
    return here + costs[held].reached * link_ms + there


def slowest_ms(costs: Sequence[RungCost], held: int, link_ms: float) -> float:
    """Time to an answer for an image that goes through all rungs."""
    here = sum(cost.edge_ms for cost in costs[:held])
    if held == len(costs):
        return here
    return here + link_ms + sum(cost.dc_ms for cost in costs[held:])


def best_cut(
    costs: Sequence[RungCost], *, most: int, link_ms: float | None, deadline_ms: float
) -> int:
    """How many rungs to hold, 1 … `most`: the least mean time with all answers within the deadline.

    Rungs here may take `LOCAL_SHARE` of the deadline. Where no cut brings all answers within it (a
    link that is too slow, or None: one that nobody answers at), as many as may be held.
    """
    link = math.inf if link_ms is None else link_ms
    times = list(accumulate(cost.edge_ms for cost in costs))
    held = [1]
    for count in range(2, min(most, len(costs)) + 1):
        if times[count - 1] > LOCAL_SHARE * deadline_ms:
            break
        held.append(count)
    in_time = [count for count in held if slowest_ms(costs, count, link) <= deadline_ms]
    if not in_time:
        return held[-1]
    return min(in_time, key=lambda count: (expected_ms(costs, count, link), count))
