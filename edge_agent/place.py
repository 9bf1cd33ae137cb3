"""What an agent is given that is one of several workers of a service."""

from __future__ import annotations

import mmap
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkvision.serving.access.rate import Meters
from hawkvision.serving.access.ring import PLACES
from hawkvision.serving.calls import Calls
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.counters import Counters

NOT_THERE = 2**60
"""On the board, for a worker that takes no connections."""


def board(count: int) -> memoryview:
    """Shared by processes that are forked from this one: a number for each of `count` workers."""
    numbers = memoryview(mmap.mmap(-1, 8 * count)).cast("q")
    for index in range(count):
        numbers[index] = NOT_THERE
    return numbers


def shared_meters() -> Meters:
    """Of the rates of keys, shared as the board is; see `serving.access.rate.Meters`.

    Two workers that count at the same moment may count once: a limit may let one more pass.
    """
    return memoryview(mmap.mmap(-1, 8 * PLACES)).cast("d")


@dataclass(frozen=True)
class Place:
    """Its number among `count` workers, and what it shares with them.

    `folder` holds the private sockets of all; `calls` reach the parent. `http` are listening
    sockets, `rtp` is a bound UDP one. `key` signs request ids until the fleet's is known.
    `board` says how many connections each worker has, `meters` what the rates of keys have counted.
    """

    index: int
    count: int
    agent_id: str
    key: bytes
    store: Store
    counters: Counters
    calls: Calls
    folder: Path
    http: Sequence[socket.socket]
    rtp: socket.socket
    board: memoryview
    meters: Meters

    def socket_of(self, what: str, index: int) -> Path:
        """A worker's private socket for `what`."""
        return self.folder / f"{what}-{index}.sock"

    @property
    def others(self) -> list[int]:
        """The numbers of the other workers."""
        return [index for index in range(self.count) if index != self.index]
