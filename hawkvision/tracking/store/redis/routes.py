"""Which server holds a key: the one that was named, the one that Sentinels name, or a cluster's.

What a route knows it forgets when a server fails, and asks again at the next key. Sources:
redis.io, "Redis client handling" (Sentinel clients) and "Redis cluster specification".
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis.crc import key_slot

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.store.redis.address import Node, RedisAddress

Question = Callable[..., Awaitable[Any]]
"""`await question(node, *command)` asks one server; it may raise anything."""

_AT_ONCE = 5


class Route(Protocol):
    """Finds servers. `patience_s` bounds how long others are asked for the way."""

    async def find(self, key: str, patience_s: float) -> Node:
        """The server that holds a key. Raises StoreUnavailable where nobody knows."""
        ...

    async def anywhere(self, not_here: set[Node], patience_s: float) -> Node:
        """A server that passes on what is published, others than these if it can be."""
        ...

    def moved(self, key: str, node: Node) -> bool:
        """A server said that another one holds the key; False where that cannot be followed."""
        ...

    def failed(self) -> None:
        """A server failed, or is not what it was."""
        ...


class OneServer:
    """The server that was named; names are looked up again with every new connection."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def find(self, key: str, patience_s: float) -> Node:
        """See `Route`."""
        return self._node

    async def anywhere(self, not_here: set[Node], patience_s: float) -> Node:
        """See `Route`."""
        return self._node

    def moved(self, key: str, node: Node) -> bool:
        """See `Route`."""
        return False

    def failed(self) -> None:
        """See `Route`."""


class WatchedServer:
    """The primary of a service that Sentinels watch.

    All are asked at once, so that one that is gone costs nothing; what most of them say counts,
    because one that was cut off still names the former primary.
    """

    def __init__(self, address: RedisAddress, ask: Question) -> None:
        self._sentinels = address.nodes
        self._service = address.service
        self._ask = ask
        self._primary: Node | None = None

    async def find(self, key: str, patience_s: float) -> Node:
        """See `Route`."""
        if self._primary is None:
            command = ("SENTINEL", "get-master-addr-by-name", self._service)
            most = len(self._sentinels) // 2 + 1
            answers = await _answers(self._ask, self._sentinels, command, patience_s, most)
            named = Counter(Node(_text(one[0]), int(one[1])) for _, one in answers if one)
            if not named:
                raise StoreUnavailable(f"no Sentinel knows {self._service!r}")
            self._primary = named.most_common(1)[0][0]
        return self._primary

    async def anywhere(self, not_here: set[Node], patience_s: float) -> Node:
        """See `Route`."""
        return await self.find("", patience_s)

    def moved(self, key: str, node: Node) -> bool:
        """See `Route`."""
        return False

    def failed(self) -> None:
        """See `Route`."""
        self._primary = None


class Cluster:
    """The nodes of a cluster, by slots.

    redis-py's own asynchronous cluster client knows no publish/subscribe, and whenever it looks
    for nodes it reads a description of all commands: 30 ms in which the agent answers nobody.
    """

    def __init__(self, address: RedisAddress, ask: Question) -> None:
        self._named = address.nodes
        self._ask = ask
        self._starts: list[int] = []
        self._ranges: list[tuple[int, Node]] = []
        self._moved: dict[int, Node] = {}
        self._known: list[Node] = list(address.nodes)

    async def find(self, key: str, patience_s: float) -> Node:
        """See `Route`."""
        await self._look(patience_s)
        slot = key_slot(key.encode())
        if slot in self._moved:
            return self._moved[slot]
        index = bisect_right(self._starts, slot) - 1
        if index < 0 or self._ranges[index][0] < slot:
            self.failed()
            raise StoreUnavailable(f"no node of the cluster holds slot {slot}")
        return self._ranges[index][1]

    async def anywhere(self, not_here: set[Node], patience_s: float) -> Node:
        """See `Route`; every node passes on what is published at any."""
        await self._look(patience_s)
        nodes = {node for _, node in self._ranges}
        return random.choice(sorted(nodes - not_here) or sorted(nodes))

    def moved(self, key: str, node: Node) -> bool:
        """See `Route`."""
        self._moved[key_slot(key.encode())] = node
        return True

    def failed(self) -> None:
        """See `Route`."""
        self._ranges = []

    async def _look(self, patience_s: float) -> None:
        if self._ranges:
            return
        some = random.sample(self._known, min(len(self._known), _AT_ONCE))
        asked = list(dict.fromkeys([*some, *self._named]))
        answers = await _answers(self._ask, asked, ("CLUSTER", "SLOTS"), patience_s, enough=1)
        asked_node, rows = answers[0]
        # A row: first slot, last slot, the primary as [host, port, …], its replicas.
        found = sorted(
            (int(first), int(last), Node(_text(primary[0]) or asked_node.host, int(primary[1])))
            for first, last, primary, *_ in rows
        )
        if not found:
            raise StoreUnavailable("the cluster has given no node any slot")
        self._starts = [first for first, _, _ in found]
        self._ranges = [(last, node) for _, last, node in found]
        self._known = sorted({node for _, node in self._ranges})
        self._moved = {}


async def _answers(
    ask: Question, nodes: Sequence[Node], command: Sequence[str], patience_s: float, enough: int
) -> list[tuple[Node, Any]]:
    """What servers answer that are asked all at once, until there is enough or the time is over.

    Raises TimeoutError, or what the last one raised, where there is no answer at all.
    """
    asking = {asyncio.ensure_future(ask(node, *command)): node for node in nodes}
    answers: list[tuple[Node, Any]] = []
    fault: BaseException = TimeoutError("nobody who knows the servers answers")
    waiting = set(asking)
    until = asyncio.get_running_loop().time() + patience_s
    try:
        while waiting and len(answers) < enough:
            left_s = until - asyncio.get_running_loop().time()
            done, waiting = await asyncio.wait(
                waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            for one in done:
                if (error := one.exception()) is None:
                    answers.append((asking[one], one.result()))
                else:
                    fault = error
    finally:
        for one in waiting:
            one.cancel()
    if not answers:
        raise fault
    return answers


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
