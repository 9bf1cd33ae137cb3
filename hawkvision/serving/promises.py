"""Whoever is let in is answered in time: who may come in, and whose turn it must be. Sans-I/O.

Fairness among clients reorders what waits; it may do so only as far as nobody comes late for it.
Work takes `each_s` seconds an item, one item after the other; in order of deadlines all is in time
if it can be at all (Jackson, 1955).
"""

from __future__ import annotations

import math
from typing import TypeVar

from hawkvision.serving.agenda import Agenda
from hawkvision.serving.claims import Claim, Claimant

T = TypeVar("T", bound=Claimant)

_USED = 0.85
"""Of the time allowed: the rest is for reordering, and for work that takes longer than it did."""

_MODEST = 0.5
"""A client that has no more than this part of what waits may use all of the time that it gives."""

_KEPT = 0.25
"""So much of it is kept for others where a client has more."""


def ahead_of(agenda: Agenda[T], claim: Claim, deadline: float) -> int:
    """Waiting items that have their turn before: of higher priority, or due no later."""
    return agenda.before(agenda.behind(claim.priority, deadline))


def makes_late(
    agenda: Agenda[T], claim: Claim, deadline: float, items: int, free_at: float, each_s: float
) -> bool:
    """Whether so many more items, due at `deadline`, make one late that would be in time."""
    at = agenda.behind(claim.priority, deadline)
    past = agenda.first(claim.priority + 1)
    if at == past:
        return False
    later = agenda.works[at:past]
    if free_at + (agenda.before(past) + items) * each_s <= later[0].deadline:
        return False
    end = free_at + agenda.before(at) * each_s
    for one in later:
        end += one.items * each_s
        if end <= one.deadline < end + items * each_s:
            return True
    return False


def may_go(agenda: Agenda[T], first: T) -> bool:
    """Whether nobody of its priority is due before `first`, which waits too."""
    return agenda.works[agenda.first(first.claim.priority)].deadline >= first.deadline


def must_go_first(agenda: Agenda[T], first: T, free_at: float, each_s: float) -> T | None:
    """Who has the turn instead of `first`: whoever is due earliest, if one would be late else.

    Only those of the same priority count. None where `first` may go.
    """
    start = agenda.first(first.claim.priority)
    earliest = agenda.works[start]
    if first.deadline <= earliest.deadline:
        return None
    past = agenda.first(first.claim.priority + 1)
    if free_at + agenda.before(past, start) * each_s <= earliest.deadline:
        return None
    end = free_at + first.items * each_s
    for one in agenda.works[start:past]:
        if one is not first:
            end += one.items * each_s
            if end > one.deadline:
                return earliest
    return None


def patience(agenda: Agenda[T], claim: Claim, allowed_s: float) -> float:
    """How much of its time a client may wait: less where most of what waits is its own."""
    if allowed_s == math.inf:
        return allowed_s
    most = agenda.items_of(claim.client) > _MODEST * agenda.items
    return allowed_s * _USED * (1 - _KEPT if most else 1)
