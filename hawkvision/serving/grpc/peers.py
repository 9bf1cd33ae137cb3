"""Who calls: a connection, and the address that it comes from, or the name in its certificate."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc.aio

from hawkvision.errors import Forbidden
from hawkvision.serving.peers import LOOPBACK, peer_of


class Peer(NamedTuple):
    """`connection` is told apart from every other open one; `address` groups a host's connections,
    or those of one certificate's name.

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


class Clients:
    """Tells who calls. With `certified` the door lets in nobody without a certificate, and its name
    is who calls; of those only `allowed` may, if any are named.
    """

    def __init__(self, *, certified: bool = False, allowed: Collection[str] = ()) -> None:
        self._certified = certified
        self._allowed = frozenset(allowed)

    def peer(self, context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
        """Who is at the other side of a call. Raises Forbidden."""
        peer = parse_peer(context.peer())
        if not self._certified:
            return peer
        names = [name.decode("utf-8", "replace") for name in context.peer_identities() or ()]
        if self._allowed and self._allowed.isdisjoint(names):
            raise Forbidden(
                f"no client of this name may call here: {', '.join(names)[:200] or 'none'}",
                hint="The gateway's --allow-client says who may.",
            )
        return Peer(peer.connection, f"certificate {names[0]}" if names else peer.address)
