"""Whom an IP address or a connection belongs to, as limits for one client count it."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

LOOPBACK = "loopback"
"""The peer that all of this machine's own addresses are."""


class Peer(NamedTuple):
    """`connection` is told apart from every other open one; `address` groups a host's connections.

    Connections from this machine are each an address of their own: behind a local proxy all
    clients come from here.
    """

    connection: str
    address: str


def peer_at(connection: str, host: str) -> Peer:
    """Who has this connection from a host."""
    peer = peer_of(host)
    return Peer(connection, connection if peer == LOOPBACK else peer)


def peer_of(host: str) -> str:
    """An IPv4 address, the /64 of an IPv6 one (of which one client has all), or `LOOPBACK`.

    A zone is passed over, an IPv4 address in IPv6 form (RFC 4291, section 2.5.5.2) is itself; what
    is no address stands for itself.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return LOOPBACK if address.is_loopback else str(address)


def is_loopback(host: str) -> bool:
    """Whether an IP address is of this machine's loopback."""
    return peer_of(host) == LOOPBACK
