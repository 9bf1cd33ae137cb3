"""A bounded amount of something that calls hold, of which no peer may take all. Sans-I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hawkvision.errors import Overloaded
from hawkvision.serving.peers import Peer


class Quota:
    """`capacity` of `what`; one connection or address holds at most `share` of it.

    Whoever holds nothing may take any amount that is free, so that the largest request that is
    allowed at all can be served.
    """

    def __init__(self, what: str, capacity: int, share: float) -> None:
        self._what = what
        self._capacity = capacity
        self._most = max(1, int(capacity * share))
        self._by: Counter[str] = Counter()
        self.held = 0

    @contextmanager
    def take(self, peer: Peer, amount: int) -> Iterator[None]:
        """Hold `amount` for `peer` while the block runs. Raises Overloaded at once."""
        self.hold(peer, amount)
        try:
            yield
        finally:
            self.release(peer, amount)

    def hold(self, peer: Peer, amount: int, own: int = 0) -> None:
        """Hold `amount` for `peer` until it is released. Raises Overloaded at once.

        `own` is what the same piece of work holds already: it grows, and counts as one.
        """
        if self.held + amount > self._capacity:
            raise Overloaded(
                f"{self.held} {self._what} are at work here, {self._capacity} fit",
                hint="Retry after the time in retry-after, or spread calls over more gateways.",
            )
        names = {peer.connection, peer.address}
        for name in names:
            if self._by[name] > own and self._by[name] + amount > self._most:
                raise Overloaded(
                    f"{self._by[name]} {self._what} of this client are at work here, of at most "
                    f"{self._most}",
                    hint="Retry after the time in retry-after; the rest is kept for others.",
                )
        self.held += amount
        for name in names:
            self._by[name] += amount

    def release(self, peer: Peer, amount: int) -> None:
        """Give back what was held."""
        self.held -= amount
        for name in {peer.connection, peer.address}:
            self._by[name] -= amount
            if not self._by[name]:
                del self._by[name]
