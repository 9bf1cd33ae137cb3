"""A store within one process, for an agent that runs alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from hawkvision.errors import StaleFence
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    Fresh,
    ThresholdState,
    merge,
)
from hawkvision.tracking.store.bound import (
    MOST_APPS,
    MOST_KEYS,
    MOST_NOTES,
    NOTED_S,
    Admitted,
    Room,
    no_room_for,
    room_of,
)
from hawkvision.tracking.store.buckets import RESOLUTIONS, finest, places
from hawkvision.tracking.store.fresh import Pages

_REMEMBERED = 100_000


class MemoryStore:
    """See `Store`; nothing is written anywhere. `clock` gives seconds and must never jump."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        most_keys: int = MOST_KEYS,
        most_apps: int = MOST_APPS,
    ) -> None:
        self._clock = clock
        self._most_apps = most_apps
        self._most_keys = most_keys
        self._buckets: dict[tuple[str, int, int], dict[CountKey, dict[str, float]]] = {}
        self._batches: dict[str, None] = {}
        self._admitted: dict[Room, Admitted] = {}
        self._pages: dict[str, Pages] = {}
        self._apps: dict[str, AppTarget] = {}
        self._thresholds: dict[str, dict[str, ThresholdState]] = {}
        self._fences: dict[str, int] = {}
        self._leads: dict[str, tuple[str, float]] = {}
        self._agents: dict[str, tuple[AgentInfo, float]] = {}
        self._claimed: dict[str, float] = {}
        self._notes: dict[str, tuple[dict[str, str], float]] = {}
        self._secret: bytes | None = None
        self._listeners: set[asyncio.Queue[Change]] = set()

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        """See `Store.add`."""
        if batch.batch_id in self._batches:
            return
        self._batches[batch.batch_id] = None
        if len(self._batches) > _REMEMBERED:
            del self._batches[next(iter(self._batches))]
        now = self._clock()
        counts: dict[CountKey, dict[str, float]] = {}
        for key, measures in batch.counts.items():
            admitted = self._admitted.setdefault(room_of(key), Admitted(self._most_keys))
            merge(counts, {admitted.key(key, now): measures})
        for key, sums in counts.items():
            self._pages.setdefault(key.task, Pages()).add({key: sums})
            for one, start in places(age_s, now):
                merge(self._buckets.setdefault((key.task, one.width_s, start), {}), {key: sums})
        kept = {resolution.width_s: resolution.kept_s for resolution in RESOLUTIONS}
        for bucket in [one for one in self._buckets if now - one[2] >= kept[one[1]]]:
            del self._buckets[bucket]

    async def counts(
        self, task: str, *, window_s: float, old_s: float = 0.0
    ) -> dict[CountKey, dict[str, float]]:
        """See `Store.counts`; requests are answered between one bucket and the next."""
        resolution = finest(window_s)
        total: dict[CountKey, dict[str, float]] = {}
        for start in resolution.span(window_s, self._clock()):
            if found := self._buckets.get((task, resolution.width_s, start)):
                merge(total, found)
                await asyncio.sleep(0)
        return total

    async def since(self, task: str, cursor: str | None) -> Fresh:
        """See `Store.since`."""
        return self._pages.setdefault(task, Pages()).since(cursor)

    async def put_app(self, target: AppTarget) -> None:
        """See `Store.put_app`."""
        if target.app not in self._apps and len(self._apps) >= self._most_apps:
            raise no_room_for(target.app, self._most_apps)
        self._apps[target.app] = target
        self._tell(Change("apps"))

    async def delete_app(self, app: str) -> bool:
        """See `Store.delete_app`."""
        known = self._apps.pop(app, None) is not None
        self._tell(Change("apps"))
        return known

    async def apps(self) -> list[AppTarget]:
        """See `Store.apps`."""
        return [self._apps[name] for name in sorted(self._apps)]

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """See `Store.put_thresholds`."""
        if fence < self._fences.get(task, 0):
            raise StaleFence(f"lead {fence} of {task} has passed to another agent")
        self._thresholds.setdefault(task, {}).update({state.target: state for state in states})
        self._tell(Change(task, tuple(states)))

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """See `Store.thresholds`."""
        return dict(self._thresholds.get(task, {}))

    async def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        queue: asyncio.Queue[Change] = asyncio.Queue(1000)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _tell(self, what: Change) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(what)

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """See `Store.take_lead`."""
        holder, until = self._leads.get(task, ("", 0.0))
        if holder != agent_id and self._clock() < until:
            return None
        if holder != agent_id or self._clock() >= until:
            self._fences[task] = self._fences.get(task, 0) + 1
        self._leads[task] = (agent_id, self._clock() + ttl_s)
        return self._fences[task]

    async def heartbeat(self, info: AgentInfo, ttl_s: float) -> None:
        """See `Store.heartbeat`."""
        self._agents[info.agent_id] = (info, self._clock() + ttl_s)

    async def agents(self) -> list[AgentInfo]:
        """See `Store.agents`."""
        now = self._clock()
        self._agents = {name: one for name, one in self._agents.items() if one[1] > now}
        return [self._agents[name][0] for name in sorted(self._agents)]

    async def claim(self, task: str, request_id: str, ttl_s: float) -> bool:
        """See `Store.claim`."""
        now = self._clock()
        name = f"{task}/{request_id}"
        if self._claimed.get(name, 0.0) > now:
            return False
        self._claimed[name] = now + ttl_s
        if len(self._claimed) > _REMEMBERED:
            del self._claimed[next(iter(self._claimed))]
        return True

    async def put_note(self, subject: str, agent_id: str, text: str) -> None:
        """See `Store.put_note`."""
        now = self._clock()
        self._notes = {name: one for name, one in self._notes.items() if one[1] > now}
        found, _ = self._notes.get(subject, ({}, 0.0))
        if agent_id in found or len(found) < MOST_NOTES:
            self._notes[subject] = ({**found, agent_id: text}, now + NOTED_S)

    async def notes(self, subject: str) -> dict[str, str]:
        """See `Store.notes`."""
        found, until = self._notes.get(subject, ({}, 0.0))
        return dict(found) if until > self._clock() else {}

    async def secret(self, proposed: bytes) -> bytes:
        """See `Store.secret`."""
        self._secret = self._secret or proposed
        return self._secret

    async def close(self) -> None:
        """See `Store.close`."""
