"""The link to a gateway as it is at the start: the round trip, by pings of HTTP/2 (RFC 9113).

No gRPC: its threads would not survive the fork of workers, and what relays the connection is
measured too.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from hawkvision.serving.address import first_of

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _PING, _ACK = 4, 6, 1
_HEAD = 9
_MOST_FRAME = 1 << 14
_AGAIN_S = 0.1
_PINGS = 2
"""Servers cut off who pings more."""


@dataclass(frozen=True, slots=True)
class LinkTls:
    """How a gateway is spoken to: `name` stands in its certificate where its host does not."""

    context: ssl.SSLContext
    name: str | None = None


def round_trip_ms(
    gateway: str, patience_s: float = 2.0, tls: LinkTls | None = None
) -> float | None:
    """The shortest round trip to a gateway, ms; None where no HTTP/2 server answers in time.

    One that is only starting may take its time. Of gRPC's names for a target the first address
    counts.
    """
    address = first_of(gateway)
    if address is None:
        return None
    due = time.monotonic() + patience_s
    while (left_s := due - time.monotonic()) > 0:
        try:
            with _connected(address, left_s, tls) as link:
                link.sendall(_PREFACE + _frame(_SETTINGS))
                return _shortest(link, due)
        except ValueError:
            return None
        except OSError:
            time.sleep(_AGAIN_S)
    return None


def _connected(address: tuple[str, int], left_s: float, tls: LinkTls | None) -> socket.socket:
    """Raises OSError, also where TLS does not come about."""
    link = socket.create_connection(address, left_s)
    try:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            return link
        return tls.context.wrap_socket(link, server_hostname=tls.name or address[0])
    except BaseException:
        link.close()
        raise


def _shortest(link: socket.socket, due: float) -> float | None:
    """Raises OSError or ValueError where there was no ping."""
    found: float | None = None
    with contextlib.suppress(OSError, ValueError):
        for number in range(_PINGS):
            data = struct.pack(">Q", number)
            start = time.monotonic()
            link.sendall(_frame(_PING, data=data))
            while _read(link, due) != (_PING, _ACK, data):
                pass
            took_ms = (time.monotonic() - start) * 1e3
            found = took_ms if found is None else min(found, took_ms)
    return found


def _frame(kind: int, flags: int = 0, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + bytes(4) + data


def _read(link: socket.socket, due: float) -> tuple[int, int, bytes]:
    """The next frame: kind, flags, data. Raises OSError, or ValueError for what is none."""
    head = _exactly(link, _HEAD, due)
    size = int.from_bytes(head[:3], "big")
    if size > _MOST_FRAME:
        raise ValueError("a frame that is larger than was allowed")
    return head[3], head[4], _exactly(link, size, due)


def _exactly(link: socket.socket, size: int, due: float) -> bytes:
    data = b""
    while len(data) < size:
        left_s = due - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        link.settimeout(left_s)
        more = link.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data
