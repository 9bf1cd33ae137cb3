"""How many connections there may be, in total and for each peer. Sans-I/O: time comes as `now`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hawkvision.serving.peers import LOOPBACK

_MOST = 4096
"""Connections unless told otherwise: an idle one costs about 20 kB."""

_KEPT_FREE = 128
"""Descriptors for the gateway, the store, files and the process itself."""

_SHARE_OF_ONE = 4
"""One peer gets this part of all connections unless told otherwise."""

_SAY_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections may take.

    `most` in total and `most_each` of one peer. A request's head must be here `head_s` seconds
    after the connection was opened or the head's first byte; between requests a connection may be
    silent for `idle_s`; what was written must be taken by the client within `write_s`.
    """

    most: int
    most_each: int | None
    head_s: float
    idle_s: float
    write_s: float

    @classmethod
    def fitting(
        cls,
        descriptors: int,
        most: int | None,
        most_each: int | None,
        *,
        head_s: float,
        idle_s: float,
        write_s: float,
    ) -> ConnectionLimits:
        """Limits for a process that may open so many descriptors; None leaves the choice to us."""
        room = max(1, descriptors - min(_KEPT_FREE, descriptors // 2))
        return cls(min(room, most or _MOST), most_each, head_s, idle_s, write_s)

    def of_peer(self, peer: str) -> int:
        """How many connections a peer may have.

        By default a quarter of all; on loopback, where proxies are, all of them.
        """
        if self.most_each is not None:
            return min(self.most_each, self.most)
        return self.most if peer == LOOPBACK else max(1, self.most // _SHARE_OF_ONE)


class Book:
    """Who is connected, who was refused and who was sent away, by reason."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.open = 0
        self.refused: Counter[str] = Counter()
        """`total`, `peer`, or `descriptors`."""
        self.ended: Counter[str] = Counter()
        """`head_timeout`, `idle`, `write_timeout`, `handshake`, or `room` (made for another)."""
        self._peers: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    @property
    def full(self) -> bool:
        """Whether nobody fits any more."""
        return self.open >= self.limits.most

    def full_for(self, peer: str) -> bool:
        """Whether this peer has all that it may have."""
        return self._peers[peer] >= self.limits.of_peer(peer)

    def enter(self, peer: str, left: Callable[[Seat], None]) -> Seat:
        """Count one connection more; `left` is called once, when it gives its place back."""
        self.open += 1
        self._peers[peer] += 1

        def leave(seat: Seat) -> None:
            self.open -= 1
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
            left(seat)

        return Seat(peer, leave)

    def refuse(self, reason: str, now: float) -> bool:
        """Count a refusal; whether it should be said aloud: once a minute at most."""
        self.refused[reason] += 1
        said = self._said.get(reason)
        if said is not None and now - said < _SAY_AGAIN_S:
            return False
        self._said[reason] = now
        return True


class Seat:
    """One connection's place in the book, from its acceptance on."""

    __slots__ = ("_left", "peer")

    def __init__(self, peer: str, left: Callable[[Seat], None]) -> None:
        self._left: Callable[[Seat], None] | None = left
        self.peer = peer

    def leave(self) -> None:
        """Give the place back; the second time nothing happens."""
        left, self._left = self._left, None
        if left is not None:
            left(self)
