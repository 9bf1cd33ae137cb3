"""Whose message is received next, and who has to go. Sans-I/O; time comes as `now`.

A call that has begun has earned nothing yet: its message may be large, late, or never come. How
large it is, gRPC does not say before it is whole. So few messages are received at a time, each as
if it were the largest; other calls wait, and HTTP/2 flow control keeps what they send at the
sender. Under pressure the newest call of whoever has the least goes first (a call that has
waited long will be late anyway), connections that have delivered before go ahead of those that
have not and keep a part of the places for themselves, and a message that does not come gives its
place away.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from hawkvision.serving.peers import Peer

_REMEMBERED = 4096
"""Connections that are known to have delivered."""


@dataclass(eq=False, slots=True)
class Arrival:
    """A call whose message has not been received; `reading` since `since` once it is its turn.

    `new` where its connection had delivered nothing at that time.
    """

    peer: Peer
    number: int
    reading: bool = False
    since: float = 0.0
    new: bool = True


@dataclass(slots=True)
class Turn:
    """Calls whose messages are to be received now, and calls that are to be refused."""

    start: list[Arrival] = field(default_factory=list)
    refuse: list[Arrival] = field(default_factory=list)


class Reception:
    """At most `max_calls` calls, of which `places` receive at a time.

    Where others wait, a message may take `patience_s` before its place can be given away.
    """

    def __init__(self, max_calls: int, places: int, patience_s: float) -> None:
        self._max_calls = max_calls
        self._places = places
        self._patience_s = patience_s
        self._numbers = 0
        self._here: dict[Arrival, None] = {}
        self._reading: dict[Arrival, None] = {}
        self._waiting: dict[str, list[Arrival]] = {}
        self._calls: Counter[str] = Counter()
        self._places_of: Counter[str] = Counter()
        self._delivered: OrderedDict[str, None] = OrderedDict()
        self._for_new = max(1, places // 2)
        self._new_reading = 0

    @property
    def calls(self) -> int:
        """Calls whose message is not here yet."""
        return len(self._here)

    @property
    def unsettled(self) -> bool:
        """Whether `turn` has anything to decide."""
        return bool(self._waiting) or len(self._here) > self._max_calls

    def arrive(self, peer: Peer, now: float) -> Arrival:
        """A call has begun; `turn` says what becomes of it, unless it is reading at once."""
        self._numbers += 1
        arrival = Arrival(peer, self._numbers)
        self._here[arrival] = None
        _count(self._calls, peer, 1)
        if not self._waiting and self._has_place(arrival):
            self._start(arrival, now)
        else:
            self._waiting.setdefault(peer.connection, []).append(arrival)
        return arrival

    def turn(self, now: float) -> Turn:
        """What follows from all that has arrived and left."""
        turn = Turn()
        while len(self._here) > self._max_calls:
            self._refuse(self._least_deserving(self._here), turn)
        while self._waiting:
            best = self._most_deserving()
            if not self._has_place(best):
                slow = [
                    one
                    for one in self._reading
                    if now - one.since >= self._patience_s and self._may_replace(best, one)
                ]
                if not slow:
                    break
                self._refuse(self._least_deserving(slow), turn)
            self._start(best, now)
            turn.start.append(best)
        return turn

    def next_turn(self) -> float | None:
        """When patience runs out with a message that would give way; None if none would."""
        if not self._waiting:
            return None
        best = self._most_deserving()
        times = [one.since for one in self._reading if self._may_replace(best, one)]
        return min(times) + self._patience_s if times else None

    def received(self, arrival: Arrival) -> None:
        """Its message is here."""
        self._leave(arrival)
        self._delivered[arrival.peer.connection] = None
        self._delivered.move_to_end(arrival.peer.connection)
        if len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)

    def failed(self, arrival: Arrival) -> None:
        """No message came in time, or it could not be received."""
        self._delivered.pop(arrival.peer.connection, None)
        self._leave(arrival)

    def gone(self, arrival: Arrival) -> None:
        """Its caller gave up; also after it was refused."""
        self._leave(arrival)

    def _start(self, arrival: Arrival, now: float) -> None:
        self._stop_waiting(arrival)
        arrival.reading, arrival.since = True, now
        arrival.new = not self._proven(arrival)
        self._new_reading += arrival.new
        self._reading[arrival] = None
        _count(self._places_of, arrival.peer, 1)

    def _refuse(self, arrival: Arrival, turn: Turn) -> None:
        self.failed(arrival)
        turn.refuse.append(arrival)

    def _leave(self, arrival: Arrival) -> None:
        if arrival not in self._here:
            return
        del self._here[arrival]
        _count(self._calls, arrival.peer, -1)
        if arrival in self._reading:
            del self._reading[arrival]
            self._new_reading -= arrival.new
            _count(self._places_of, arrival.peer, -1)
        else:
            self._stop_waiting(arrival)

    def _stop_waiting(self, arrival: Arrival) -> None:
        queue = self._waiting.get(arrival.peer.connection)
        if queue is not None and arrival in queue:
            queue.remove(arrival)
            if not queue:
                del self._waiting[arrival.peer.connection]

    def _proven(self, arrival: Arrival) -> bool:
        return arrival.peer.connection in self._delivered

    def _most_deserving(self) -> Arrival:
        return max(
            (queue[-1] for queue in self._waiting.values()),
            key=lambda one: (
                self._proven(one),
                -self._places_of[one.peer.address],
                -self._places_of[one.peer.connection],
                one.number,
            ),
        )

    def _least_deserving(self, among: Iterable[Arrival]) -> Arrival:
        return min(
            among,
            key=lambda one: (
                self._proven(one),
                -self._calls[one.peer.address],
                -self._calls[one.peer.connection],
                one.number,
            ),
        )

    def _has_place(self, arrival: Arrival) -> bool:
        if len(self._reading) >= self._places:
            return False
        return self._proven(arrival) or self._new_reading < self._for_new

    def _may_replace(self, other: Arrival, slow: Arrival) -> bool:
        """Whoever has not delivered takes a place from its like only."""
        return self._proven(other) or slow.new


def _count(counter: Counter[str], peer: Peer, step: int) -> None:
    for name in {peer.connection, peer.address}:
        counter[name] += step
        if not counter[name]:
            del counter[name]
