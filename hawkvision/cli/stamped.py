"""An HTTP connection that says when a reply came, however much later we come to read it.

On Linux the kernel stamps what it receives (socket(7), `SO_TIMESTAMPNS`); elsewhere a reply came
when it was read.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

SO_TIMESTAMPNS = 35
"""Of Linux; Python has no name for it."""

_STAMP = struct.Struct("qq")
_ROOM = socket.CMSG_SPACE(_STAMP.size)
_END = b"\r\n\r\n"


class Reply(NamedTuple):
    """Of HTTP; `came_ns` is when its last bytes were here, ns since the epoch."""

    status: int
    body: bytes
    came_ns: int


class StampedConnection:
    """HTTP/1.1, one request at a time, to an agent: replies have a Content-Length.

    Raises OSError where there is no connection, or none any more.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform.startswith("linux"):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._data = b""
        self.sent_ns = 0

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, head: bytes, body: bytes) -> None:
        """A request, whole; `sent_ns` is when, ns since the epoch."""
        self.sent_ns = time.time_ns()
        sent = self._socket.sendmsg([head, body])
        if sent < len(head) + len(body):
            self._socket.sendall((head + body)[sent:])

    def receive(self) -> Reply | None:
        """What is there, or comes next; None for a part."""
        data, notes, _, _ = self._socket.recvmsg(65_536, _ROOM)
        if not data:
            raise ConnectionResetError("the agent has ended a connection")
        self._data = data = self._data + data
        end = data.find(_END)
        if end < 0:
            return None
        at = data[:end].lower().find(b"content-length:")
        length = int(data[at + 15 : data.find(b"\r\n", at)]) if at >= 0 else 0
        if len(data) < end + len(_END) + length:
            return None
        self._data = b""
        return Reply(int(data[9:12]), data[end + len(_END) :], came_ns(notes))

    def ask(self, head: bytes, body: bytes) -> Reply:
        """Send, and wait for the whole reply."""
        self.send(head, body)
        while (reply := self.receive()) is None:
            pass
        return reply

    def close(self) -> None:
        """End it."""
        self._socket.close()


def came_ns(notes: Sequence[tuple[int, int, bytes]]) -> int:
    """When the last bytes of a `recvmsg` came, ns since the epoch; now, where nobody says."""
    for level, kind, stamp in notes:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = _STAMP.unpack(stamp)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def post(path: str, image: bytes) -> bytes:
    """The head of a request with an image."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(image)}\r\n\r\n"
    ).encode()
