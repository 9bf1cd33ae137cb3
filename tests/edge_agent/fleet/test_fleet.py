"""A fleet of one agent over stores that misbehave, and with none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge_agent.fleet.fleet import Fleet, FleetSettings
from edge_agent.fleet.jobs import Jobs
from edge_agent.local import LocalTask
from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.records import AppTarget, Change, ThresholdState
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.memory import MemoryStore
from tests.edge_agent.agents import outcome, prediction

EVERY_S = 0.01


async def nobody(_local: LocalTask, _image: bytes, _what: str) -> Any:
    return None


@asynccontextmanager
async def begun(
    local: LocalTask, store: MemoryStore, failed: list[str], **settings: Any
) -> AsyncIterator[Fleet]:
    fleet = Fleet(
        {"tiny": local},
        store,
        Journal(None),
        Jobs(failed.append),
        nobody,
        FleetSettings(AuditSettings(base=0.0), every_s=EVERY_S, **settings),
    )
    fleet.start("http://here")
    try:
        yield fleet
    finally:
        await asyncio.wait_for(fleet.close(), 60)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


class Faulty(MemoryStore):
    """Every way of asking fails in a way that nobody foresaw, until `healed`."""

    healed = False

    def _check(self) -> None:
        if not self.healed:
            raise RuntimeError("as scripted")

    async def changes(self) -> AsyncIterator[Change]:
        self._check()
        async for what in super().changes():
            yield what

    async def apps(self) -> list[AppTarget]:
        self._check()
        return await super().apps()

    async def heartbeat(self, *given: Any) -> None:
        self._check()
        await super().heartbeat(*given)


async def test_every_job_survives_what_nobody_foresaw(
    local: LocalTask, caplog: pytest.LogCaptureFixture
) -> None:
    store, failed = Faulty(time.time), list[str]()
    async with begun(local, store, failed) as fleet:
        await until(lambda: {"refresh", "heartbeat", "listen"} <= set(failed))
        store.healed = True
        await store.put_app(AppTarget("gate", "tiny", "0.8"))
        await until(lambda: "gate" in fleet.apps)
        await until(lambda: len(store._listeners) == 1)
        while not await store.agents():
            await asyncio.sleep(0.01)
    errors = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert sorted(one.getMessage().split()[0] for one in errors) == [
        "heartbeat",
        "listen",
        "refresh",
    ]
    assert all("as scripted" in str(one.exc_info) for one in errors)


async def test_without_tracking_the_store_is_left_alone(local: LocalTask) -> None:
    failed: list[str] = []
    async with begun(local, Faulty(time.time), failed, tracked=False) as fleet:
        ids = {fleet.answered(outcome(local, prediction(0, 0.9))) for _ in range(3)}
        await asyncio.sleep(5 * EVERY_S)
        assert len(ids) == 3 and all(fleet.receipt(one) is None for one in ids)
        assert fleet.counters.take(0.0) is None
    assert failed == []


async def test_closing_delivers_what_was_counted_last(local: LocalTask) -> None:
    store = MemoryStore(time.time)
    async with begun(local, store, []) as fleet:
        fleet.answered(outcome(local, prediction(0, 0.9)))
    found = await store.counts("tiny@1", window_s=300)
    assert "0.8" in {key.target for key in found}


async def test_a_store_that_does_not_close_holds_nobody_up(local: LocalTask) -> None:
    class Hanging(MemoryStore):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async with begun(local, Hanging(time.time), []):
        pass


async def test_feedback_counts_once_with_the_store_s_word(local: LocalTask) -> None:
    async with begun(local, MemoryStore(time.time), []) as fleet:
        receipt = fleet.receipt(fleet.answered(outcome(local, prediction(0, 0.9))))
        assert receipt is not None
        assert [await fleet.feed_back(receipt, 0) for _ in range(2)] == [True, False]
        other = fleet.receipt(fleet.answered(outcome(local, prediction(0, 0.9))))
        assert other is not None
        await fleet.store.claim("tiny@1", str(other.number), 60)  # another agent had it
        assert not await fleet.feed_back(other, 0)


class Asked(MemoryStore):
    """Counts what is asked now and then; may be away."""

    apps_read = 0
    away = False

    async def apps(self) -> list[AppTarget]:
        if self.away:
            raise StoreUnavailable("away")
        self.apps_read += 1
        return await super().apps()

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        if self.away:
            raise StoreUnavailable("away")
        return await super().thresholds(task)


async def listened(store: MemoryStore) -> None:
    await until(lambda: len(store._listeners) == 1)


async def test_thresholds_come_into_force_as_they_are_told(local: LocalTask) -> None:
    store = Asked(time.time)
    async with begun(local, store, [], control=False) as fleet:
        await listened(store)
        await until(lambda: store.apps_read == 1)
        store.away = True
        told = ThresholdState("0.8", 0.75, "steering", 1, time.time())
        await store.put_thresholds("tiny@1", [told], 1)
        await until(lambda: fleet.leading.thresholds("tiny@1") == {"0.8": told})


async def test_apps_are_asked_for_when_they_change_and_after_an_absence(local: LocalTask) -> None:
    store = Asked(time.time)
    async with begun(local, store, []) as fleet:
        await listened(store)
        await until(lambda: store.apps_read == 1)
        await asyncio.sleep(20 * EVERY_S)
        assert store.apps_read == 1
        await store.put_app(AppTarget("gate", "tiny", "0.8"))
        await until(lambda: "gate" in fleet.apps)
        read = store.apps_read
        store.away = True
        await until(lambda: not fleet.status().available)
        store.away = False
        store._secret = b"another, of a store that began anew"
        await until(lambda: store.apps_read > read and fleet.counting.key == store._secret)
