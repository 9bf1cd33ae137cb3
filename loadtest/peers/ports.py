"""Ports of loopback that are free."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """Different ones that nobody has now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
