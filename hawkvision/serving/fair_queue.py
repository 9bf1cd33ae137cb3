"""Whose turn it is: by priority, then by deadline among classes, then fairly among clients.

A class holds the work that was given a similar time (up to 0.1 s, 1 s, 10 s, more). Among classes
the one whose next piece is due first has its turn; within a class clients share by weight, by
start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996): of two clients that both always wait,
what each got, divided by its weight, differs by at most the largest piece of each so divided.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

from hawkvision.serving.agenda import Agenda
from hawkvision.serving.claims import Claimant, Priority

T = TypeVar("T", bound=Claimant)

CLASSES_S = (0.1, 1.0, 10.0)
"""Upper ends of the classes: the time that was allowed at first, seconds."""

_REMEMBERED = 64
"""So many clients that do not wait are remembered before they are gone through."""


class _Class(Generic[T]):
    """Work of one priority and urgency: a heap by start tags, and the virtual time."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, T]] = []
        self._now = 0.0
        self._finished: dict[str, float] = {}

    def push(self, work: T, turn: int) -> None:
        claim = work.claim
        start = max(self._now, self._finished.get(claim.client, 0.0))
        self._finished[claim.client] = start + work.items / claim.weight
        heapq.heappush(self.heap, (start, turn, work))

    def pop(self) -> T:
        start, _, work = heapq.heappop(self.heap)
        self._now = start
        if len(self._finished) > 2 * len(self.heap) + _REMEMBERED:
            # Whoever finished before now would begin at now all the same.
            self._finished = {who: end for who, end in self._finished.items() if end > start}
        return work

    def remove(self, work: T) -> bool:
        """Take it out; its client is not given back the turn that it held."""
        for index, (_, _, one) in enumerate(self.heap):
            if one is work:
                self.heap[index] = self.heap[-1]
                self.heap.pop()
                heapq.heapify(self.heap)
                return True
        return False


class FairQueue(Generic[T]):
    """Sans-I/O. It knows no bound: whoever owns it refuses what is too much.

    What it remembers of clients goes with their turns, so their number does not grow. `agenda` is
    all that waits, by deadline.
    """

    def __init__(self) -> None:
        self._classes: dict[tuple[Priority, int], _Class[T]] = {}
        self._turns = count()
        self.agenda = Agenda[T]()

    def __len__(self) -> int:
        """How many pieces of work wait."""
        return len(self.agenda.works)

    def __iter__(self) -> Iterator[T]:
        """All that wait, by priority and deadline."""
        return iter(self.agenda.works)

    def append(self, work: T) -> None:
        """Let it wait for its turn."""
        key = (work.claim.priority, bisect_left(CLASSES_S, work.claim.allowed_s))
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = _Class()
        found.push(work, next(self._turns))
        self.agenda.add(work)

    def _next(self) -> tuple[Priority, int]:
        if len(self._classes) == 1:
            return next(iter(self._classes))
        first = min(priority for priority, _ in self._classes)
        mine = [key for key in self._classes if key[0] is first]
        return min(mine, key=lambda key: self._classes[key].heap[0][2].deadline)

    def peek(self) -> T:
        """Whose turn is next. Raises IndexError if nothing waits."""
        if not self.agenda.works:
            raise IndexError("nothing waits")
        return self._classes[self._next()].heap[0][2]

    def popleft(self) -> T:
        """Take it. Raises IndexError if nothing waits."""
        if not self.agenda.works:
            raise IndexError("nothing waits")
        key = self._next()
        work = self._classes[key].pop()
        self._took(key, work)
        return work

    def remove(self, work: T) -> None:
        """Take out what is not wanted any more. Raises ValueError if it does not wait."""
        for key, one in self._classes.items():
            if one.remove(work):
                self._took(key, work)
                return
        raise ValueError("it does not wait here")

    def _took(self, key: tuple[Priority, int], work: T) -> None:
        self.agenda.remove(work)
        if not self._classes[key].heap:
            del self._classes[key]
