"""Clocks of agents jump by days and decades; nothing is forgotten, hidden or refused."""

from __future__ import annotations

import time

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.delivery import Counters, Delivery
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.memory import MemoryStore

KEY = CountKey("signs", "", "0.9")


class Clocks:
    """A wall clock that is set by days, while time goes on."""

    def __init__(self) -> None:
        self.wall_offset = 1_800_000_000.0
        self.time = 0.0

    def wall(self) -> float:
        return self.wall_offset + self.time

    def monotonic(self) -> float:
        return self.time


JUMPS = (3 * 86_400.0, -6 * 86_400.0, -50 * 365 * 86_400.0, 53 * 365 * 86_400.0)


async def counted_in(store: Store, window_s: float) -> float:
    counts = await store.counts("signs", window_s=window_s)
    return counts.get(KEY, {}).get("answers/edge/0", 0.0)


async def test_jumps_of_the_clock_forget_nothing_and_refuse_nothing(store: Store) -> None:
    clocks, counters, journal = Clocks(), Counters(), Journal(None)
    delivery = Delivery(
        store, journal, counters, clock=clocks.wall, monotonic=clocks.monotonic, every_s=0.01
    )
    for jump in JUMPS:
        counters.add(KEY, "answers/edge/0")
        await delivery.collect()  # counted before the jump, delivered after it
        clocks.wall_offset += jump
        clocks.time += 1
        counters.add(KEY, "answers/edge/0")
        await delivery.collect()
        assert await delivery.deliver()
    for window_s in (300.0, 3600.0, 86_400.0):
        assert await counted_in(store, window_s) == 2 * len(JUMPS)


async def test_a_journal_from_before_the_clock_was_set_is_counted(store: Store) -> None:
    journal = Journal(None)
    for index, jump in enumerate(JUMPS):
        batch = Batch(f"b{index}", time.time() + jump, {KEY: {"answers/edge/0": 1.0}})
        journal.append(batch)
    delivery = Delivery(store, journal, Counters())
    assert await delivery.deliver()
    assert await counted_in(store, 300.0) == len(JUMPS)


async def test_being_away_is_an_age_that_no_jump_changes() -> None:
    clocks = Clocks()
    delivery = Delivery(
        MemoryStore(), Journal(None), Counters(), clock=clocks.wall, monotonic=clocks.monotonic
    )
    delivery.away(StoreUnavailable("gone"))
    clocks.time += 60
    clocks.wall_offset += 3 * 86_400.0
    assert delivery.unavailable_s == 60
    assert delivery.unavailable_since == clocks.wall() - 60


async def test_memory_forgets_by_a_clock_that_does_not_jump() -> None:
    clocks = Clocks()
    store = MemoryStore(clocks.monotonic)
    for number, age_s in enumerate((0.0, 4000.0)):
        await store.add(Batch(f"b{number}", 0.0, {KEY: {"answers/edge/0": 1.0}}), age_s)
    clocks.wall_offset += 3 * 86_400.0
    assert await counted_in(store, 300.0) == 1
    clocks.time += 400
    assert await counted_in(store, 300.0) == 0
    assert await counted_in(store, 3600.0) == 1
    clocks.time += 86_400
    await store.add(Batch("late", 0.0, {KEY: {"answers/edge/0": 1.0}}))
    assert await counted_in(store, 86_400.0) == 1
