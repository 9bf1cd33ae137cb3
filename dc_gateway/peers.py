"""Who calls: a connection, and the address that it comes from."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote


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
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return Peer(text, text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return Peer(text, text)
    if isinstance(address, ipaddress.IPv6Address):
        return Peer(text, str(ipaddress.ip_network((address, 64), strict=False)))
    return Peer(text, str(address))
