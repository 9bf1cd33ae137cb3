"""Whoever is let in is answered in time, whatever fairness would like."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving import promises
from hawkvision.serving.agenda import Agenda
from hawkvision.serving.claims import Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.lateness import Lateness, came_late


@dataclass(eq=False)
class Work:
    """A claimant."""

    claim: Claim
    items: int
    deadline: float


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 30), st.sampled_from("abc"))
    )
)
def test_all_that_are_let_in_are_in_time(
    arrivals: list[tuple[int, int, int, str]],
) -> None:
    """One thread, an item takes a second; times are whole, so sums are exact."""
    queue: FairQueue[Work] = FairQueue()
    now, free_at = 0.0, 0.0

    def serve(until: float) -> None:
        nonlocal free_at
        while len(queue) and free_at <= until:
            first = queue.peek()
            one = promises.must_go_first(queue.agenda, first, free_at, 1.0) or first
            queue.remove(one)
            free_at += one.items
            assert free_at <= one.deadline

    for gap, items, allowed, client in arrivals:
        serve(now + gap)
        now += gap
        free_at = max(free_at, now)
        claim, deadline = Claim(client), now + allowed
        ahead = promises.ahead_of(queue.agenda, claim, deadline)
        if free_at + ahead + items > deadline:
            continue
        if not promises.makes_late(queue.agenda, claim, deadline, items, free_at, 1.0):
            queue.append(Work(claim, items, deadline))
    serve(math.inf)


def test_most_of_a_queue_leaves_room_for_others() -> None:
    waiting = Agenda([Work(Claim("greedy"), 1, 9.0) for _ in range(4)])
    modest, greedy = (promises.patience(waiting, Claim(who), 1.0) for who in ("modest", "greedy"))
    assert greedy < modest <= 1.0
    assert promises.patience(waiting, Claim("greedy"), math.inf) == math.inf


@given(st.lists(st.booleans()), st.floats(0.01, 10), st.floats(0.0001, 1))
def test_a_margin_is_never_more_than_half_of_the_time(
    late: list[bool], allowed_s: float, step_s: float
) -> None:
    learned = Lateness()
    for one in late:
        before = learned.margin_s(allowed_s)
        learned.learn(one, allowed_s, step_s)
        assert 0 <= learned.margin_s(allowed_s) <= allowed_s / 2
        assert (learned.margin_s(allowed_s) >= before) if one else True


def test_late_is_after_the_deadline_or_so_shortly_before_that_no_reply_arrives() -> None:
    assert came_late(-0.1, 1.0, cancelled=False) and came_late(0.01, 1.0, cancelled=False)
    assert not came_late(0.1, 1.0, cancelled=False) and came_late(0.1, 1.0, cancelled=True)
