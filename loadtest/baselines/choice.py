"""Which variant answers a request, and which ones make way for it. No clock, no model.

As INFaaS chooses (Romero et al., ATC 2021): the cheapest variant whose profiled accuracy meets the
target, where a resident one saves the time to load. A load is shared by all who wait and would use
what it brings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from loadtest.baselines.ladder import Variant


def meeting(variants: Sequence[Variant], target: float) -> Sequence[Variant]:
    """Those whose accuracy meets a target; the best one where none does."""
    found = [one for one in variants if one.accuracy >= target]
    return found or [max(variants, key=lambda one: one.accuracy)]


def choose(
    variants: Sequence[Variant],
    target: float,
    resident: Collection[str],
    waiting: Sequence[float] = (),
) -> Variant:
    """The variant with the least time for this request, its share of a load included.

    `waiting` are the targets of other requests in the queue.
    """

    def cost(one: Variant) -> float:
        if one.name in resident:
            return one.milliseconds
        sharing = 1 + sum(_would_use(variants, other, resident, one) for other in waiting)
        return one.milliseconds + one.load_milliseconds / sharing

    return min(meeting(variants, target), key=cost)


def _would_use(
    variants: Sequence[Variant], target: float, resident: Collection[str], new: Variant
) -> bool:
    good = meeting(variants, target)
    if new not in good:
        return False
    return all(one.milliseconds > new.milliseconds for one in good if one.name in resident)


def make_way(
    new: Variant,
    resident: Mapping[str, Variant],
    last_used: Mapping[str, float],
    pinned: Collection[str],
    budget_mb: float,
) -> list[str] | None:
    """Whom to evict so that `new` fits the budget: least recently used first.

    None where those that are `pinned` (at work, or loading) leave no room for it.
    """
    held = sum(one.memory_mb for one in resident.values())
    evicted: list[str] = []
    for name in sorted(resident, key=lambda name: last_used.get(name, 0.0)):
        if held + new.memory_mb <= budget_mb:
            break
        if name not in pinned:
            evicted.append(name)
            held -= resident[name].memory_mb
    return evicted if held + new.memory_mb <= budget_mb else None
