"""What an attack is: a name, a door, and a coroutine that goes on until it is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import aiohttp
import grpc.aio

from tests.attack.access import Access


@dataclass(frozen=True, slots=True)
class Target:
    """Where the doors are. `ssrc` is of somebody else's stream, as whoever listens on the way has.

    `source` is the address that an attacker's sockets are bound to, where they are raw. `rest` is
    the gateway's HTTP port, `edge_grpc` the agent's for gRPC. With `access` all are under TLS.
    """

    host: str
    http: int
    grpc: int
    udp: int
    ssrc: int
    source: str = "127.0.0.66"
    rest: int = 0
    edge_grpc: int = 0
    access: Access | None = None

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Target:
        """As `as_dict` made it."""
        access = found.pop("access")
        return cls(**found, access=None if access is None else Access.parse(access))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @property
    def url(self) -> str:
        """Of the agent."""
        return f"http{'' if self.access is None else 's'}://{self.host}:{self.http}"

    @property
    def gateway(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.grpc}"

    @property
    def at_rest(self) -> Target:
        """The same with the gateway's HTTP port in the place of the agent's."""
        return replace(self, http=self.rest)

    @property
    def at_edge(self) -> Target:
        """The same with the agent's port for gRPC in the place of the gateway's."""
        return replace(self, grpc=self.edge_grpc)

    def shown(self) -> dict[str, str]:
        """Headers that the next attacker shows; none where no keys are asked for."""
        return {} if self.access is None else self.access.attackers_headers()

    def insider(self) -> dict[str, str]:
        """Headers of an attacker with a key that is good for images, streams and reading."""
        return {} if self.access is None else {"X-API-Key": self.access.weak}

    def busy(self) -> dict[str, str]:
        """Headers of a client whose key has no rate."""
        return {} if self.access is None else {"X-API-Key": self.access.busy}


@dataclass
class Tally:
    """What attackers were told, by outcome, and how long valid requests took that were answered."""

    outcomes: Counter[str] = field(default_factory=Counter)
    admitted_ms: list[float] = field(default_factory=list)

    def add(self, outcome: str, count: int = 1) -> None:
        """Count."""
        self.outcomes[outcome] += count


Run = Callable[[Target, Tally], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One line of the table. `prepare` makes what is dear to make before the clock starts.

    `secure` is one that there is under TLS and with keys alone.
    """

    name: str
    door: str
    does: str
    run: Run
    prepare: Callable[[], object] = lambda: None
    secure: bool = False


class Pace:
    """So many turns a second, shared by all who ask; one who is late catches nothing up."""

    def __init__(self, rate: float) -> None:
        self._gap_s = 1 / rate
        self._next = time.monotonic()

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = time.monotonic()
        self._next = max(self._next + self._gap_s, now)
        await asyncio.sleep(self._next - now)


FAILURES = (OSError, EOFError, TimeoutError, aiohttp.ClientError, grpc.aio.AioRpcError, ValueError)
"""What an attacker meets and goes on from."""

PATIENCE_S = 5.0


async def crew(
    size: int,
    once: Callable[[], Awaitable[object]],
    tally: Tally,
    pace: Pace,
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """`size` attackers that do it again and again at a common pace, each try within a time."""

    async def member() -> None:
        while True:
            await pace.turn()
            try:
                async with asyncio.timeout(patience_s):
                    await once()
            except FAILURES as error:
                tally.add(failure(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(size):
            group.create_task(member())


def failure(error: BaseException) -> str:
    """An error as an outcome."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"grpc {error.code().name}"
    return type(error).__name__


async def together(runs: Sequence[Awaitable[None]]) -> None:
    """All at once, for ever."""

    async def one(run: Awaitable[None]) -> None:
        await run

    async with asyncio.TaskGroup() as group:
        for run in runs:
            group.create_task(one(run))
