"""Where a benchmark's two sides run: in namespaces with a link between, or here behind relays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.link.model import LinkSettings
from loadtest.link.namespaces import FAR_ADDRESS, LinkedPair, linked_pair, why_not
from loadtest.link.relay import TcpRelay, UdpRelay


@dataclass(frozen=True)
class Place:
    """`host` and `port` are where the near side finds the agent; `udp_port` where it sends to.

    Without `pair` both sides run on this machine, and TCP meets no loss.
    """

    host: str
    port: int
    udp_port: int | None
    pair: LinkedPair | None

    def near(self, command: Sequence[str]) -> list[str]:
        """The command line that runs on the camera's side."""
        return list(command) if self.pair is None else self.pair.in_near(command)

    def far(self, command: Sequence[str]) -> list[str]:
        """The command line that runs on the agent's side."""
        return list(command) if self.pair is None else self.pair.in_far(command)


@contextlib.contextmanager
def place(settings: LinkSettings, port: int, seed: int) -> Iterator[Place]:
    """A link to an agent that will listen on `port`, TCP and UDP."""
    if why_not() is None:
        with linked_pair(settings, seed=seed) as pair:
            yield Place(FAR_ADDRESS, port, None, pair)
        return
    agent = ("127.0.0.1", port)
    with UdpRelay(agent, settings, seed) as udp, TcpRelay(agent, settings) as tcp:
        yield Place("127.0.0.1", tcp.port, udp.port, None)
