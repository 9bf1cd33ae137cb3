"""From an agent's counters to the store: journalled first, delivered once, however late."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import sqlite3
import time
from collections.abc import Callable

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey, merge
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.journal import Journal

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Counters:
    """What was counted since the last `take`. `add` is the only part on a request's way."""

    def __init__(self) -> None:
        self._counts: dict[CountKey, dict[str, float]] = {}

    def add(self, key: CountKey, name: str, amount: float = 1.0) -> None:
        """Add to one measure."""
        measures = self._counts.get(key)
        if measures is None:
            measures = self._counts[key] = {}
        measures[name] = measures.get(name, 0.0) + amount

    def put_back(self, batch: Batch) -> None:
        """Count a batch again that could not be kept."""
        merge(self._counts, batch.counts)

    def take(self, now: float) -> Batch | None:
        """Everything counted so far as a batch, or None; counting starts again."""
        if not self._counts:
            return None
        counts, self._counts = self._counts, {}
        return Batch(secrets.token_hex(12), now, counts)


class Delivery:
    """Takes batches from counters every `every_s` and brings them to the store.

    A batch is in the journal before it is sent and leaves it when the store has acknowledged;
    the store counts a batch once even if the acknowledgement was lost.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        counters: Counters,
        *,
        every_s: float = 0.5,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._counters = counters
        self._every_s = every_s
        self._clock = clock
        self._rng = rng or random.Random()
        self._pause_s = _FIRST_PAUSE_S
        self.unavailable_since: float | None = None
        self.reason = ""

    @property
    def backlog(self) -> int:
        """Batches that wait for the store."""
        return len(self._journal)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                delivered = await self._once()
            except sqlite3.Error:
                _log.exception("the journal cannot be written; counts stay in memory")
                delivered = False
            if delivered:
                self._pause_s = _FIRST_PAUSE_S
                await asyncio.sleep(self._every_s)
            else:
                await asyncio.sleep(self._pause_s * self._rng.uniform(0.8, 1.2))
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    async def _once(self) -> bool:
        await self.collect()
        return await self.deliver()

    async def collect(self) -> None:
        """Move what was counted into the journal. Raises sqlite3.Error, and keeps the counts."""
        batch = self._counters.take(self._clock())
        if batch is None:
            return
        try:
            await asyncio.to_thread(self._journal.append, batch)
        except sqlite3.Error:
            self._counters.put_back(batch)
            raise

    async def deliver(self) -> bool:
        """Send what the journal holds; False where the store is away."""
        while (found := await asyncio.to_thread(self._journal.oldest)) is not None:
            number, batch = found
            try:
                await self._store.add(batch, self._clock())
            except StoreUnavailable as error:
                self.away(error)
                return False
            self.back()
            await asyncio.to_thread(self._journal.remove, number)
        return True

    def away(self, error: StoreUnavailable) -> None:
        """Note that the store is away."""
        if self.unavailable_since is None:
            self.unavailable_since = self._clock()
            _log.warning("%s", error)
        self.reason = str(error)

    def back(self) -> None:
        """Note that the store answers."""
        if self.unavailable_since is not None:
            _log.warning("the store is back after %.1f s", self._clock() - self.unavailable_since)
        self.unavailable_since = None
        self.reason = ""

    async def flush(self, deadline_s: float) -> None:
        """At shutdown: journal everything, and deliver what can be in this time."""
        await self.collect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self.deliver()
