"""Which streams there may be, and which one makes way. Sans-I/O; time comes as `now`.

A stream has the right to send a message at any time, so each costs the memory of the largest one,
whether it sends or not. There is a bound on them, one client has at most its share, and where
another one wants in, whoever has been silent longest makes way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hawkvision.errors import LimitReached
from hawkvision.serving.peers import Peer


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`streams` at a time, each with `in_flight` messages that are not answered.

    One client has at most `share` of the streams. A stream without anything in flight makes way
    for others after `patience_s` and ends after `idle_s`; a reply is taken within `write_s`.
    """

    streams: int = 16
    in_flight: int = 8
    share: float = 0.75
    patience_s: float = 5.0
    idle_s: float = 300.0
    write_s: float = 10.0


@dataclass(eq=False, slots=True)
class StreamSeat:
    """A stream: whose it is, what is in flight, and since when it says nothing."""

    peer: Peer
    since: float
    in_flight: int = 0


class StreamBook:
    """All streams of one door."""

    def __init__(self, limits: StreamLimits) -> None:
        self.limits = limits
        self._seats: dict[StreamSeat, None] = {}
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._seats)

    def open(self, peer: Peer, now: float) -> tuple[StreamSeat, StreamSeat | None]:
        """A new stream, and the one that has to end for it. Raises LimitReached."""
        most = max(1, int(self.limits.streams * self.limits.share))
        if self._of[peer.address] >= most:
            raise LimitReached(
                f"{self._of[peer.address]} streams of this client are open, of at most {most}",
                hint="Send more over each of them.",
            )
        gone = None
        if len(self._seats) >= self.limits.streams:
            gone = self._makes_way(now)
            if gone is None:
                raise LimitReached(
                    f"{len(self._seats)} streams are open here, no more fit",
                    hint="Retry after the time in retry-after, or call ModelInfer.",
                )
            self.close(gone)
        seat = StreamSeat(peer, now)
        self._seats[seat] = None
        self._of[peer.address] += 1
        return seat, gone

    def close(self, seat: StreamSeat) -> None:
        """It is gone, or about to go; once or more often."""
        if seat not in self._seats:
            return
        del self._seats[seat]
        self._of[seat.peer.address] -= 1
        if not self._of[seat.peer.address]:
            del self._of[seat.peer.address]

    def began(self, seat: StreamSeat, now: float) -> None:
        """A message is here."""
        seat.in_flight += 1
        seat.since = now

    def ended(self, seat: StreamSeat, now: float) -> None:
        """A message is answered, and the client has the reply."""
        seat.in_flight -= 1
        seat.since = now

    def silent(self) -> list[StreamSeat]:
        """Streams without anything in flight."""
        return [seat for seat in self._seats if not seat.in_flight]

    def outstayed(self, now: float) -> list[StreamSeat]:
        """Streams that have been silent for too long."""
        return [seat for seat in self.silent() if now - seat.since >= self.limits.idle_s]

    def next_look(self) -> float | None:
        """When the first stream will have been silent for too long, as things are."""
        times = [seat.since for seat in self._seats]
        return min(times) + self.limits.idle_s if times else None

    def _makes_way(self, now: float) -> StreamSeat | None:
        silent = [seat for seat in self.silent() if now - seat.since >= self.limits.patience_s]
        return max(
            silent, key=lambda seat: (self._of[seat.peer.address], -seat.since), default=None
        )
