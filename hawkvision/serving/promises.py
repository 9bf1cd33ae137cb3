"""Whoever is let in is answered in time: who may come in, and whose turn it must be. Sans-I/O.

Fairness among clients reorders what waits; it may do so only as far as nobody comes late for it.
Work takes `each_s` seconds an item, one item after the other; in order of deadlines all is in time
if it can be at all (Jackson, 1955).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

from hawkvision.serving.claims import Claim, Claimant

T = TypeVar("T", bound=Claimant)

_USED = 0.85
"""Of the time allowed: the rest is for reordering, and for work that takes longer than it did."""

_MODEST = 0.5
"""A client that has no more than this part of what waits may use all of the time that it gives."""

_KEPT = 0.25
"""So much of it is kept for others where a client has more."""


def ahead_of(waiting: Iterable[Claimant], claim: Claim, deadline: float) -> int:
    """Waiting items that have their turn before: of higher priority, or due no later."""
    mine = claim.priority
    return sum(
        one.items
        for one in waiting
        if one.claim.priority < mine or (one.claim.priority == mine and one.deadline <= deadline)
    )


def makes_late(
    waiting: Iterable[Claimant],
    claim: Claim,
    deadline: float,
    items: int,
    free_at: float,
    each_s: float,
) -> bool:
    """Whether so many more items, due at `deadline`, make one late that would be in time."""
    mine = claim.priority
    equal = [one for one in waiting if one.claim.priority <= mine]
    later = [one for one in equal if one.claim.priority == mine and one.deadline > deadline]
    whole_s = (sum(one.items for one in equal) + items) * each_s
    if not later or free_at + whole_s <= min(one.deadline for one in later):
        return False
    end = free_at + ahead_of(waiting, claim, deadline) * each_s
    for one in sorted(later, key=lambda one: one.deadline):
        end += one.items * each_s
        if end <= one.deadline < end + items * each_s:
            return True
    return False


def must_go_first(waiting: Iterable[T], first: T, free_at: float, each_s: float) -> T | None:
    """Who has the turn instead of `first`: whoever is due earliest, if one would be late else.

    Only those of the same priority count. None where `first` may go.
    """
    mine = first.claim.priority
    others = [one for one in waiting if one is not first and one.claim.priority == mine]
    if not others:
        return None
    end = free_at + first.items * each_s
    earliest = min(others, key=lambda one: one.deadline)
    if first.deadline <= earliest.deadline:
        return None
    if end + sum(one.items for one in others) * each_s <= earliest.deadline:
        return None
    for one in sorted(others, key=lambda one: one.deadline):
        end += one.items * each_s
        if end > one.deadline:
            return earliest
    return None


def patience(waiting: Iterable[Claimant], claim: Claim, allowed_s: float) -> float:
    """How much of its time a client may wait: less where most of what waits is its own."""
    own = sum(one.items for one in waiting if one.claim.client == claim.client)
    most = own > _MODEST * sum(one.items for one in waiting)
    if allowed_s == math.inf:
        return allowed_s
    return allowed_s * _USED * (1 - _KEPT if most else 1)
