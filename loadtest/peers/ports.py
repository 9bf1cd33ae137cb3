"""Ports that nobody has and that the system gives to nobody unasked.

A server may take half a minute until it listens. A port of the range that connections and `bind` to
port 0 are given (Linux: `ip_local_port_range`, ip(7)) can be another's by then.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL = (32_768, 60_999)
_FROM = range(20_000, 65_000)
"""Below lie those that Ray gives its workers (10002 to 19999)."""


def given_unasked() -> range:
    """Ports that the system gives away itself."""
    try:
        low, high = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        low, high = _USUAL
    return range(low, high + 1)


def free_ports(count: int) -> list[int]:
    """Different ones, free on every interface. Raises OSError where there are not so many."""
    given = given_unasked()
    asked = [port for port in _FROM if port not in given] or list(_FROM)
    random.shuffle(asked)
    return first_free(asked, count)


def first_free(ports: Sequence[int], count: int) -> list[int]:
    """The first so many of `ports` that nobody has now. Raises OSError where there are fewer."""
    found: list[int] = []
    for port in ports:
        if len(found) == count:
            break
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("", port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise OSError(f"fewer than {count} ports are free")
    return found
