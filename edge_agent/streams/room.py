"""Whose lossy streams there is room for, and which one gives way. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hawkvision.errors import LimitReached, Overloaded
from hawkvision.serving.peers import is_loopback, peer_of
from hawkvision.tracking.trust import is_vouched, name_of

GIVES_WAY_S = 10.0
"""A stream that was silent for so long gives way, where there is no room for another one."""


class Open(Protocol):
    """An open stream: who has it (`owner_of`), and when it last sent, `time.monotonic`."""

    owner: str
    heard_s: float


Stream = TypeVar("Stream", bound=Open)


@dataclass(frozen=True, slots=True)
class StreamRoom:
    """At most `most` streams, `per_app` of an app that showed its key, `per_peer` of an address."""

    most: int = 64
    per_peer: int = 16
    per_app: int = 32

    def check(self, owner: str, streams: Iterable[Stream], now: float) -> Stream | None:
        """The stream that gives way to another one of `owner`; None where nobody has to.

        Streams of apps that showed their keys give way to nobody; others give way to those at
        once, the longest silent first, and among themselves only when they are silent. Raises
        LimitReached for an owner who has as many as it may, Overloaded where all are taken.
        """
        streams, with_key = list(streams), is_vouched(owner)
        own = sum(stream.owner == owner for stream in streams)
        most_own = self.per_app if with_key else self.per_peer
        if own >= most_own:
            whose = f"of app {name_of(owner)!r}" if with_key else f"from {owner}"
            raise LimitReached(
                f"{own} streams {whose} are open",
                retry_after_s=10,
                hint="End one (DELETE /v1/streams/ID), or raise "
                f"--max-streams-per-{'app' if with_key else 'peer'}.",
            )
        if len(streams) < self.most:
            return None
        idle = (
            stream
            for stream in streams
            if not is_vouched(stream.owner) and (with_key or now - stream.heard_s > GIVES_WAY_S)
        )
        gives_way = min(idle, key=lambda stream: stream.heard_s, default=None)
        if gives_way is None:
            raise Overloaded(f"{self.most} streams are open", retry_after_s=10, hint="Try later.")
        return gives_way


def owner_of(counted: str, peer: str) -> str:
    """Whose a stream is: the app's that showed its key (see `tracking.trust`), else the address's.

    Of an IPv6 address the network counts, 64 bits, of which one client has all others too.
    """
    if is_vouched(counted):
        return counted
    return peer if is_loopback(peer) else peer_of(peer)
