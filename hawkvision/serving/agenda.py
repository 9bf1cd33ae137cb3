"""What waits, in the order in which it would be done were nobody to share: by priority, then by
deadline. Sans-I/O.

Whoever asks what comes before a call asks with every call, so nothing here goes through all that
waits but a sum over a slice of numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

from hawkvision.serving.claims import Claimant

T = TypeVar("T", bound=Claimant)


class Agenda(Generic[T]):
    """Sorted pieces of work, how many items they are in all, and how many of each client.

    A piece must keep its claim, its deadline and its items while it is here.
    """

    __slots__ = ("_by_client", "_counts", "_keys", "items", "works")

    def __init__(self, works: Iterable[T] = ()) -> None:
        self._keys: list[tuple[int, float, int]] = []
        self._counts: list[int] = []
        self._by_client: dict[str, int] = {}
        self.works: list[T] = []
        self.items = 0
        for one in works:
            self.add(one)

    def add(self, work: T) -> None:
        """One more."""
        key = _key(work)
        at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self._counts.insert(at, work.items)
        self.works.insert(at, work)
        self.items += work.items
        client = work.claim.client
        self._by_client[client] = self._by_client.get(client, 0) + work.items

    def remove(self, work: T) -> None:
        """One that waits no more; it must be here."""
        at = bisect_left(self._keys, _key(work))
        del self._keys[at], self._counts[at], self.works[at]
        self.items -= work.items
        client = work.claim.client
        left = self._by_client[client] - work.items
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]

    def items_of(self, client: str) -> int:
        """How many items are a client's."""
        return self._by_client.get(client, 0)

    def first(self, priority: int) -> int:
        """The place in `works` of the first of a priority, or where it would be."""
        return bisect_left(self._keys, (priority,))

    def behind(self, priority: int, deadline: float) -> int:
        """The place in `works` that is behind all that are due no later."""
        return bisect_right(self._keys, (priority, deadline, _LAST))

    def before(self, place: int, start: int = 0) -> int:
        """How many items there are from `start` to before a place in `works`."""
        if not start and place == len(self._counts):
            return self.items
        return sum(self._counts[start:place])


_LAST = 1 << 64
"""Beyond any `id`."""


def _key(work: Claimant) -> tuple[int, float, int]:
    return work.claim.priority, work.deadline, id(work)
