"""Whether a client has said nothing yet, as the system knows it before we have read a byte.

Where computing time is short, what clients have sent waits longer for us than they do. Sources:
tcp(7), TCP_INFO; `struct tcp_info` in linux/tcp.h.
"""

from __future__ import annotations

import socket
import struct

_INFO = getattr(socket, "TCP_INFO", None)
_RECEIVED = struct.Struct("=128xQ")
"""`tcpi_bytes_received`, of Linux 4.1 and later."""


def is_mute(sock: socket.socket) -> bool:
    """Whether not a byte has come over a TCP connection; False where the system does not say."""
    if _INFO is None:
        return False
    try:
        found = sock.getsockopt(socket.IPPROTO_TCP, _INFO, _RECEIVED.size)
    except OSError:  # it is closed
        return False
    return len(found) == _RECEIVED.size and _RECEIVED.unpack(found)[0] == 0
