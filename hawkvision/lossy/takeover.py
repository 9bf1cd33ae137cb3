"""A plain stream's camera that begins anew at another port loses no picture by that.

Whoever sends first holds the stream until it is silent for half a second (`SourceAddress`). What
another port of the same host sends meanwhile is kept, in order and within bounds, and is taken when
the silence has lasted; where the first address sends again it was a second camera, and is refused.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hawkvision.lossy.binding import SourceAddress

Address = tuple[Any, ...]
MOST_BYTES = 1 << 20
MOST_PACKETS = 2048
"""What is kept for a stream: half a second of 16 Mbit/s."""


class Takeover:
    """Packets and their addresses in, the packets to be taken out. Times in seconds.

    `refused` counts packets that were not taken and never will be.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._source = SourceAddress()
        self._heir: Address | None = None
        self._kept: deque[bytes] = deque()
        self._bytes = 0

    @property
    def contested_s(self) -> float | None:
        """When two addresses last sent at once."""
        return self._source.contested_s

    @property
    def next_due_s(self) -> float | None:
        """When what is kept is taken, unless the first address sends before."""
        return self._source.free_s if self._kept else None

    def packet(self, packet: bytes, address: Address, now: float) -> list[bytes]:
        """The packets that are taken by the arrival of this one, in order, itself the last."""
        first = self._source.bound
        if self._source.admits(address, now):
            kept = self._empty()
            if address == self._heir and address != first:
                return [*kept, packet]
            self.refused += len(kept)
            return [packet]
        if isinstance(first, tuple) and first[0] == address[0]:
            self._keep(packet, address)
        else:
            self.refused += 1
        return []

    def poll(self, now: float) -> tuple[list[bytes], Address | None]:
        """What was kept and is taken now that the first address is silent, and whose it is."""
        due, heir = self.next_due_s, self._heir
        if due is None or now < due or heir is None or not self._source.admits(heir, now):
            return [], None
        return self._empty(), heir

    def release(self) -> None:
        """The source said goodbye: the next to send holds the stream, at once."""
        self._source.release()

    def _keep(self, packet: bytes, address: Address) -> None:
        if address != self._heir:  # of two that wait the later: cameras are started again and again
            self.refused += len(self._empty())
            self._heir = address
        self._kept.append(packet)
        self._bytes += len(packet)
        while self._bytes > MOST_BYTES or len(self._kept) > MOST_PACKETS:
            self._bytes -= len(self._kept.popleft())
            self.refused += 1

    def _empty(self) -> list[bytes]:
        kept = list(self._kept)
        self._kept.clear()
        self._bytes = 0
        return kept
