"""From an agent's counters to the store: journalled first, delivered once, however late."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from hawkvision.errors import HawkVisionError, StoreUnavailable
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.counters import Counters
from hawkvision.tracking.store.journal import Journal

__all__ = ["Counters", "Delivery", "DeliveryStatus"]

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """How counts get on.

    `unavailable_s` is how long the store has been away, in seconds, None while it answers;
    `reason` says why; `backlog` is in batches that wait, `dropped` those that found no room;
    `journal` is `ok`, or `memory: …` with the reason why the file cannot take them.
    """

    unavailable_s: float | None
    reason: str
    backlog: int
    dropped: int
    journal: str


class Delivery:
    """Takes batches from counters every `every_s` and brings them to the store.

    A batch is in the journal before it is sent and leaves it when the store has acknowledged;
    the store counts a batch once even if the acknowledgement was lost.

    `clock`, seconds since the epoch, is read once: from then on time goes by `monotonic`, so that
    the age of what this process counted is right even when the clock of a device is set.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        counters: Counters,
        *,
        every_s: float = 0.5,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._counters = counters
        self._every_s = every_s
        self._clock = clock
        self._monotonic = monotonic
        self._began = clock() - monotonic()
        self._rng = rng or random.Random()
        self._pause_s = _FIRST_PAUSE_S
        self._away_at: float | None = None
        self._said: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "journal")
        self.reason = ""

    @property
    def backlog(self) -> int:
        """Batches that wait for the store."""
        return len(self._journal)

    @property
    def unavailable_s(self) -> float | None:
        """For how long the store has been away, seconds; None while it answers."""
        return None if self._away_at is None else self._monotonic() - self._away_at

    @property
    def unavailable_since(self) -> float | None:
        """The same as a time by today's clock, seconds since the epoch."""
        away_s = self.unavailable_s
        return None if away_s is None else self._clock() - away_s

    def status(self) -> DeliveryStatus:
        """How counts get on."""
        return DeliveryStatus(
            self.unavailable_s,
            self.reason,
            self.backlog,
            self._journal.dropped,
            self._journal.state,
        )

    async def run(self) -> None:
        """Deliver until cancelled, whatever store and journal raise."""
        while True:
            try:
                await self.collect()
                delivered = await self.deliver()
            except Exception as error:
                self.away(error)
                delivered = False
            if delivered:
                self._pause_s = _FIRST_PAUSE_S
                await asyncio.sleep(self._every_s)
            else:
                await asyncio.sleep(self._pause_s * self._rng.uniform(0.8, 1.2))
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    async def collect(self) -> None:
        """Move what was counted into the journal; where that raises, the counts are kept here."""
        batch = self._counters.take(self._now())
        if batch is None:
            return

        def kept(outcome: asyncio.Future[None]) -> None:
            if outcome.cancelled() or outcome.exception() is not None:
                self._counters.put_back(batch)
            else:
                self._counters.kept(batch)

        await self._in_thread(self._journal.append, batch, kept=kept)

    async def deliver(self) -> bool:
        """Send what the journal holds; False where the store is away."""
        try:
            while (found := await self._in_thread(self._journal.oldest)) is not None:
                ticket, batch = found
                await self._store.add(batch, self._now() - batch.time_s)
                self.back()
                await self._in_thread(self._journal.remove, ticket)
            if self._away_at is not None:
                await self._store.apps()  # nothing waits that would show whether it is back
                self.back()
        except StoreUnavailable as error:
            self.away(error)
            return False
        return True

    async def _in_thread(
        self,
        work: Callable[..., Out],
        *arguments: object,
        kept: Callable[[asyncio.Future[Out]], None] | None = None,
    ) -> Out:
        """One call after the other; one that has begun is done even if nobody waits for it."""
        outcome = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        if kept is not None:
            outcome.add_done_callback(kept)
        return await asyncio.shield(outcome)

    def _now(self) -> float:
        return self._began + self._monotonic()

    def away(self, error: Exception) -> None:
        """Note that counts do not get through, and say so once."""
        if self._away_at is None:
            self._away_at = self._monotonic()
        if isinstance(error, HawkVisionError):
            self.reason = str(error)
            if not self._said:
                _log.warning("%s", error)
            self._said.add(self.reason)
            return
        self.reason = f"{type(error).__name__}: {error}"
        if self.reason not in self._said:
            _log.error("counts cannot be delivered, and are kept", exc_info=error)
        self._said.add(self.reason)

    def back(self) -> None:
        """Note that the store answers."""
        away_s = self.unavailable_s
        if away_s is not None:
            _log.warning("the store is back after %.1f s", away_s)
        self._away_at = None
        self._said.clear()
        self.reason = ""

    async def flush(self, deadline_s: float) -> None:
        """At shutdown: journal everything, and deliver what can be in this time. Never raises."""
        try:
            async with asyncio.timeout(deadline_s):
                await self.collect()
                await self.deliver()
        except Exception as error:
            self.away(error)
        if self.backlog and not self._journal.outlives_us:
            _log.warning("%d batches of counts are lost: no journal could keep them", self.backlog)
