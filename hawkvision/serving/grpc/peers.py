"""Who calls: a connection, and the address that it comes from."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from hawkvision.serving.peers import LOOPBACK, peer_of


class Peer(NamedTuple):
    """`connection` is told apart from every other open one; `address` groups a host's connections.

    Connections from this machine are each an address of their own: behind a local proxy all
    clients come from here.
    """

    connection: str
    address: str


@lru_cache(maxsize=4096)
def parse_peer(text: str) -> Peer:
    """What gRPC says of a call's other side (`ipv4:192.0.2.1:4242`, `ipv6:%5B::1%5D:4242`).

    An IPv6 host is known by its /64, of which it may use any address.
    """
    family, _, rest = unquote(text).partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    if family not in ("ipv4", "ipv6"):
        return Peer(text, text)
    peer = peer_of(host)
    return Peer(text, text if peer == LOOPBACK else peer)
