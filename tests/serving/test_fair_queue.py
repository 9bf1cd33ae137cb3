"""Whose turn it is: priorities, deadlines among classes, shares within them."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.claims import Claim, Priority
from hawkvision.serving.fair_queue import FairQueue


@dataclass(eq=False)
class Work:
    """A claimant."""

    claim: Claim
    items: int = 1
    deadline: float = math.inf


def of(client: str, items: int = 1, weight: float = 1.0) -> Work:
    return Work(Claim(client, weight), items)


def taken(queue: FairQueue[Work]) -> list[Work]:
    return [queue.popleft() for _ in range(len(queue))]


def test_of_one_client_who_came_first_is_first() -> None:
    queue: FairQueue[Work] = FairQueue()
    work = [of("a", items) for items in (3, 1, 2)]
    for one in work:
        queue.append(one)
    assert queue.peek() is work[0]
    assert taken(queue) == work


def test_users_before_audits_before_probes_whatever_their_deadlines() -> None:
    queue: FairQueue[Work] = FairQueue()
    for priority in (Priority.PROBE, Priority.AUDIT, Priority.USER):
        queue.append(Work(Claim("a", priority=priority), deadline=float(-priority)))
    assert [one.claim.priority for one in taken(queue)] == sorted(Priority)


def test_among_classes_the_one_that_is_due_first_has_its_turn() -> None:
    queue: FairQueue[Work] = FairQueue()
    patient = Work(Claim("a", allowed_s=5.0), deadline=6.0)
    hasty = [Work(Claim("b", allowed_s=0.05), deadline=due) for due in (5.9, 6.1)]
    for one in (patient, *hasty):
        queue.append(one)
    assert taken(queue) == [hasty[0], patient, hasty[1]]


def test_an_empty_queue_says_so_and_so_does_one_that_has_not_what_is_taken_out() -> None:
    queue: FairQueue[Work] = FairQueue()
    for ask in (queue.peek, queue.popleft):
        with pytest.raises(IndexError):
            ask()
    queue.append(of("a"))
    with pytest.raises(ValueError, match="does not wait"):
        queue.remove(of("a"))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8)), min_size=1),
    st.tuples(*[st.sampled_from([0.5, 1.0, 2.0, 4.0])] * 3),
)
def test_what_two_waiting_clients_got_differs_by_no_more_than_a_largest_piece_each(
    pieces: list[tuple[str, int]], weights: tuple[float, ...]
) -> None:
    """Goyal, Vin, Cheng, theorem 1, over every interval in which both always wait."""
    weight = dict(zip("abc", weights, strict=True))
    queue: FairQueue[Work] = FairQueue()
    waits: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for client, items in pieces:
        queue.append(of(client, items, weight[client]))
        waits[client] += 1
        largest[client] = max(largest[client], items)
    got: list[Counter[str]] = [Counter()]
    both = [set(waits)]
    while len(queue):
        one = queue.popleft()
        client = one.claim.client
        waits[client] -= 1
        got.append(got[-1] + Counter({client: one.items}))
        both.append({who for who, left in waits.items() if left})
    for start in range(len(got)):
        for end in range(start + 1, len(got)):
            always = both[start].intersection(*both[start:end])
            for first in always:
                for second in always - {first}:
                    share = [
                        (got[end][who] - got[start][who]) / weight[who] for who in (first, second)
                    ]
                    bound = largest[first] / weight[first] + largest[second] / weight[second]
                    assert abs(share[0] - share[1]) <= bound + 1e-9


@given(st.lists(st.tuples(st.sampled_from("+-x"), st.sampled_from("ab"), st.integers(1, 3))))
def test_nothing_is_lost_or_invented(steps: list[tuple[str, str, int]]) -> None:
    queue: FairQueue[Work] = FairQueue()
    held: list[Work] = []
    for what, client, items in steps:
        if what == "+":
            held.append(of(client, items))
            queue.append(held[-1])
        elif held and what == "-":
            held.remove(queue.popleft())
        elif held:
            queue.remove(held.pop(items % len(held)))
        assert len(queue) == len(held)
        assert set(map(id, queue)) == set(map(id, held))


def test_clients_that_went_are_forgotten() -> None:
    queue: FairQueue[Work] = FairQueue()
    queue.append(of("stays"))
    for index in range(1000):
        queue.append(of(str(index)))
        queue.popleft()
        queue.append(of("stays"))
        queue.popleft()
    remembered = [len(one._finished) for one in queue._classes.values()]
    assert len(queue) == 1 and max(remembered) < 100


def test_a_line_of_one_class_and_client_is_a_deque() -> None:
    queue: FairQueue[Work] = FairQueue()
    plain: deque[Work] = deque()
    for index in range(20):
        one = of("", 1 + index % 3)
        queue.append(one)
        plain.append(one)
        if index % 4 == 0:
            assert queue.popleft() is plain.popleft()
    assert taken(queue) == list(plain)
