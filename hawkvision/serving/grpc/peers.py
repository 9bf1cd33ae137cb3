"""Who calls, as gRPC says it: by address, and by the names in a certificate."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc.aio

from hawkvision.serving.peers import Peer, peer_at


@lru_cache(maxsize=4096)
def parse_peer(text: str) -> Peer:
    """What gRPC says of a call's other side (`ipv4:192.0.2.1:4242`, `ipv6:%5B::1%5D:4242`).

    An IPv6 host is known by its /64, of which it may use any address.
    """
    family, _, rest = unquote(text).partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    if family not in ("ipv4", "ipv6"):
        return Peer(text, text)
    return peer_at(text, host)


def shown_names(context: grpc.aio.ServicerContext[Any, Any]) -> list[str]:
    """The names in the certificate that the client showed, none without one."""
    return [name.decode("utf-8", "replace") for name in context.peer_identities() or ()]
