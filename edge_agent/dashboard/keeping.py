"""Where the ledger is: in the agent itself, or with the parent of several workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge_agent.dashboard.ledger import Ledger, Told
from hawkvision.serving.calls import Calls, CallsFailed, Handler

_ADD, _WHOLE, _FRESH = "dashboard.add", "dashboard.whole", "dashboard.fresh"
_GRACE_S = 1
"""How late a worker may say what it did in a second."""


class Keeper(Protocol):
    """Takes what a process did, and gives what all did. None where that cannot be said now."""

    async def add(self, told: Told) -> None:
        """Take in a second."""
        ...

    async def whole(self) -> dict[str, Any] | None:
        """See `Ledger.whole`."""
        ...

    async def fresh(self) -> dict[str, Any] | None:
        """See `Ledger.fresh`."""
        ...


class Own:
    """The ledger of an agent that is alone."""

    def __init__(self, pictures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = Ledger(pictures=pictures)
        self._clock = clock

    async def add(self, told: Told) -> None:
        """See `Keeper`."""
        self._ledger.add(told)

    async def whole(self) -> dict[str, Any] | None:
        """See `Keeper`."""
        return self._ledger.whole(self._clock())

    async def fresh(self) -> dict[str, Any] | None:
        """See `Keeper`."""
        return self._ledger.fresh(self._clock())


class OfParent:
    """A worker's way to the ledger that the parent keeps for all of them."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add(self, told: Told) -> None:
        """See `Keeper`; with the parent away a second is lost."""
        with contextlib.suppress(CallsFailed):
            await self._calls.call(_ADD, told.as_list())

    async def whole(self) -> dict[str, Any] | None:
        """See `Keeper`."""
        return await self._read(_WHOLE)

    async def fresh(self) -> dict[str, Any] | None:
        """See `Keeper`."""
        return await self._read(_FRESH)

    async def _read(self, what: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._calls.call(what)
        except CallsFailed:
            return None
        return found


def handlers(pictures: int, clock: Callable[[], float] = time.monotonic) -> dict[str, Handler]:
    """What the parent answers to its workers' `OfParent`, over a ledger of its own."""
    ledger = Ledger(pictures=pictures, grace_s=_GRACE_S)

    async def add(told: Any) -> None:
        ledger.add(Told.of_list(told))

    async def whole(_nothing: Any) -> dict[str, Any]:
        return ledger.whole(clock())

    async def fresh(_nothing: Any) -> dict[str, Any]:
        return ledger.fresh(clock())

    return {_ADD: add, _WHOLE: whole, _FRESH: fresh}
