"""What an agent is given that is one of several workers of a service."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkvision.serving.calls import Calls
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.counters import Counters


@dataclass(frozen=True)
class Place:
    """Its number among `count` workers, and what it shares with them.

    `folder` holds the private sockets of all; `calls` reach the parent. `http` are listening
    sockets, `rtp` is a bound UDP one. `key` signs request ids until the fleet's is known.
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

    def socket_of(self, what: str, index: int) -> Path:
        """A worker's private socket for `what`."""
        return self.folder / f"{what}-{index}.sock"

    @property
    def others(self) -> list[int]:
        """The numbers of the other workers."""
        return [index for index in range(self.count) if index != self.index]
