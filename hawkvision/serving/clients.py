"""Who a client is where it shows a certificate, and whether it may come in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hawkvision.errors import Forbidden
from hawkvision.serving.peers import Peer


class Clients:
    """With `certified` the door lets in nobody without a certificate, and its name is who calls; of
    those only `allowed` may, if any are named.
    """

    def __init__(self, *, certified: bool = False, allowed: Collection[str] = ()) -> None:
        self.certified = certified
        self._allowed = frozenset(allowed)

    def named(self, peer: Peer, names: Sequence[str]) -> Peer:
        """Who has this connection, with these names in its certificate. Raises Forbidden."""
        if self._allowed and self._allowed.isdisjoint(names):
            raise Forbidden(
                f"no client of this name may call here: {', '.join(names)[:200] or 'none'}",
                hint="The gateway's --allow-client says who may.",
            )
        return Peer(peer.connection, certified_as(names[0]) if names else peer.address)


def certified_as(name: str) -> str:
    """The `Peer.address` of a client that is known by this name in its certificate."""
    return f"certificate {name}"
