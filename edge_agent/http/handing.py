"""Connections that go to the worker that has fewest.

The kernel gives a connection to any worker, so of a few long ones some worker may get most while a
core idles. Who accepts one more than another has, hands it over, once, before a byte is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from array import array
from collections.abc import Callable

from edge_agent.place import NOT_THERE, Place

_MESSAGE = b"c"


class Handing:
    """One worker's part; use it within one event loop. Whatever fails, a connection stays here."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.socket_of("accepted", place.index)
        self._paths = {one: str(place.socket_of("accepted", one)) for one in place.others}
        self._socket: socket.socket | None = None
        self._take: Callable[[socket.socket], None] | None = None

    def start(self, take: Callable[[socket.socket], None]) -> None:
        """Take over what others hand here, and let them know. Raises OSError."""
        self._path.unlink(missing_ok=True)
        self._take = take
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        asyncio.get_running_loop().add_reader(self._socket, self._received)
        self.note(0)

    def note(self, connections: int) -> None:
        """So many connections are open here."""
        if self._socket is not None:
            self._place.board[self._place.index] = connections

    def hand(self, accepted: socket.socket, connections: int) -> bool:
        """Give a connection to who has fewer than are open here; False where nobody has."""
        board = self._place.board
        if self._socket is None or not self._paths:
            return False
        least = min(self._paths, key=board.__getitem__)
        if board[least] >= connections:
            return False
        board[least] += 1  # until it counts again itself
        try:
            self._socket.sendmsg(
                [_MESSAGE],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [accepted.fileno()]))],
                0,
                self._paths[least],
            )
        except OSError:  # it has ended, or has not come round to those that wait
            board[least] -= 1
            return False
        accepted.close()
        return True

    def _received(self) -> None:
        assert self._socket is not None and self._take is not None
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(self._socket, len(_MESSAGE), 1)
            except OSError:
                return
            for one in descriptors:
                self._take(socket.socket(fileno=one))

    def stop(self) -> None:
        """Take in what was handed here, and then no more."""
        if self._socket is None:
            return
        self._place.board[self._place.index] = NOT_THERE
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._received()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
