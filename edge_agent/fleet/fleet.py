"""One agent's part in a fleet: what is counted, audited and steered, and the work beside it.

Requests only add to counters and read dictionaries; everything that touches the store runs in
jobs of its own, so a store that is slow, full or away costs them nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.fleet.audits import Ask, Audits
from edge_agent.fleet.counting import FEEDBACK_S, Counting
from edge_agent.fleet.delivered import WINDOWS, DeliveredWindows, Wanted, sums_by_target
from edge_agent.fleet.jobs import Jobs, Work
from edge_agent.fleet.leading import Leading
from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from hawkvision.cascade import AccuracyTarget
from hawkvision.contract.delivered import StoreStatus
from hawkvision.errors import StoreUnavailable
from hawkvision.serving.shared import Shared
from hawkvision.tasks.base import TaskKind
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.receipts import Receipt
from hawkvision.tracking.records import AgentInfo, AppTarget, Counts
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.delivery import Counters, Delivery
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.trust import source_of

_log = logging.getLogger(__name__)
_HEARTBEAT_S = 5.0
_LISTEN_AGAIN_S = 1.0
_JOBS_END_S = 1.0
_FLUSH_S = 1.0
_STORE_CLOSES_S = 2.0
_SELDOM_S = 5.0
"""Between two times that apps and the fleet's key are asked for, unless apps are said to change."""

_SPREAD_S = 0.25
"""Agents that hear of the same change ask the store within so long, each at a time of its own."""

_READ_GAP_S = 0.05
"""Between two times that the same is read from the store; who asks meanwhile shares the next."""


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """`tracked` off: nothing is counted, and the store is not asked. Times in seconds."""

    audits: AuditSettings
    control: bool = True
    tracked: bool = True
    every_s: float = 0.5


async def _nobody() -> None:
    pass


@dataclass(frozen=True)
class Membership:
    """How an agent is known in its fleet, and with what it counts.

    `key` signs request ids until the fleet's is known; `told` tells other workers of the same
    service that apps have changed, and returns when they know.
    """

    agent_id: str = field(default_factory=lambda: secrets.token_hex(6))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    counters: Counters = field(default_factory=Counters)
    told: Callable[[], Awaitable[None]] = _nobody


class Fleet:
    """`store` may be shared; the journal is this agent's own. Use it within one event loop."""

    def __init__(
        self,
        tasks: Mapping[str, LocalTask],
        store: Store,
        journal: Journal,
        jobs: Jobs,
        ask: Ask,
        settings: FleetSettings,
        clock: Callable[[], float] = time.time,
        member: Membership | None = None,
    ) -> None:
        member = member or Membership()
        self.agent_id = member.agent_id
        self.store = store
        self.jobs = jobs
        self.apps: dict[str, AppTarget] = {}
        self.counters = member.counters
        for batch in self.counters.left:
            journal.append(batch)
            self.counters.kept(batch)
        self.delivery = Delivery(
            store, journal, self.counters, every_s=settings.every_s, clock=clock
        )
        kinds = {local.counted: local.task.kind for local in tasks.values()}
        self.counting = Counting(self.counters.add, kinds, member.key)
        self.audits = Audits(
            tasks,
            settings.audits,
            self.counters.add,
            ask,
            jobs.start,
            random.Random(),  # an agent's id is known to others, and would foretell its audits
        )
        policies = {local.counted: local.policy for local in tasks.values()}
        self.leading = Leading(policies, store, self.agent_id, control=settings.control)
        self._told = member.told
        self._tasks = {local.counted: local.task.name for local in tasks.values()}
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._wake = asyncio.Event()
        self._seldom_at = -math.inf
        self._asks: asyncio.TimerHandle | None = None
        self._read: Shared[tuple[str, float, float], Counts] = Shared(_READ_GAP_S)
        self._alive: Shared[None, list[AgentInfo]] = Shared(_READ_GAP_S)

    # Versions come and go; a task below is one version, under its counted name.

    def serves(self, local: LocalTask) -> None:
        """Count, audit and steer a version from now on."""
        self.counting.serves(local.counted, local.task.kind)
        self.audits.serves(local)
        self.leading.serves(local.counted, local.policy)
        self._tasks[local.counted] = local.task.name
        self._wake.set()

    def retires(self, local: LocalTask) -> None:
        """Steer and audit a version no more; feedback for its answers is still taken."""
        self._tasks.pop(local.counted, None)
        self.audits.retires(local.counted)
        self.leading.retires(local.counted)

    # On the way of a request: no waiting.

    def in_force(self, task: str, target: AccuracyTarget, app: str) -> AccuracyTarget:
        """See `Leading.in_force`."""
        return self.leading.in_force(task, target, app)

    def answered(self, outcome: Outcome) -> str:
        """Count an answer, perhaps audit it; its request id."""
        if not self._settings.tracked:
            return self.counting.plain_id()
        self.audits.answered(outcome)
        return self.counting.answered(outcome, self._clock())

    # Feedback, apps and reports.

    def receipt(self, request_id: str) -> Receipt | None:
        """See `Counting.receipt`."""
        return self.counting.receipt(request_id, self._clock())

    def kind_of(self, receipt: Receipt) -> TaskKind[Any, Any]:
        """See `Counting.kind_of`."""
        return self.counting.kind_of(receipt)

    async def feed_back(self, receipt: Receipt, truth: Any) -> bool:
        """Count the truth of an answer; False where this answer had one before."""
        if not self.counting.first(receipt):
            return False
        # With the store away, only this agent's own memory guards against copies.
        with contextlib.suppress(StoreUnavailable):
            if not await self.store.claim(receipt.task, str(receipt.number), FEEDBACK_S):
                return False
        self.counting.fed_back(receipt, truth)
        return True

    async def put_app(self, target: AppTarget) -> None:
        """Store an app's target. Raises StoreUnavailable."""
        await self.store.put_app(target)
        self.apps[target.app] = target
        await self._told()

    async def delete_app(self, app: str) -> bool:
        """Forget an app; whether it was known. Raises StoreUnavailable."""
        known = await self.store.delete_app(app)
        self.apps.pop(app, None)
        await self._told()
        return known

    async def read_apps(self) -> None:
        """Take in the apps that are stored. Raises StoreUnavailable."""
        self.apps = {target.app: target for target in await self.store.apps()}

    async def delivered(
        self,
        task: str,
        wanted: Wanted,
        windows: Mapping[str, float] = WINDOWS,
        app: str | None = None,
    ) -> DeliveredWindows:
        """What was delivered of a task, as far as the store can say now; see `report`."""
        return self.report(task, await self.read(task, windows), wanted, app)

    async def read(
        self, task: str, windows: Mapping[str, float], old_s: float = 0.0
    ) -> Mapping[str, Counts]:
        """What was counted in each window, as far as the store can say; it may be so old."""
        found = {}
        try:
            for name, window_s in windows.items():
                found[name] = await self._counts(task, window_s, old_s)
        except StoreUnavailable as error:
            self.delivery.away(error)
        return found

    def report(
        self, task: str, read: Mapping[str, Counts], wanted: Wanted, app: str | None = None
    ) -> DeliveredWindows:
        """What was `read`, with what is in force.

        Thresholds and the share of audits are those of one app as it is counted (see `trust`), or
        all there are and that of anonymous traffic.
        """
        return DeliveredWindows(
            {name: sums_by_target(counts, wanted) for name, counts in read.items()},
            self.leading.thresholds(task, app),
            self.audits.share(task, source_of(app or "")),
            self.status(),
        )

    async def _counts(self, task: str, window_s: float, old_s: float) -> Counts:
        """A window as the store counted it, read once for all who ask at the time."""
        return await self._read.get(
            (task, window_s, old_s),
            lambda: self.store.counts(task, window_s=window_s, old_s=old_s),
        )

    async def agents(self) -> list[AgentInfo]:
        """The fleet's agents that are alive, asked once for all who ask at the time."""
        return await self._alive.get(None, self.store.agents)

    def status(self) -> StoreStatus:
        """Whether the store answers, and what waits for it."""
        found = self.delivery.status()
        return StoreStatus(
            available=found.unavailable_s is None,
            unavailable_since=self.delivery.unavailable_since,
            reason=found.reason,
            backlog=found.backlog,
            dropped=found.dropped,
            journal=found.journal,
        )

    # Beside the requests.

    def start(self, url: str) -> None:
        """Begin to deliver, refresh, lead and listen; other agents are told `url`."""
        if not self._settings.tracked:
            return
        started = self._clock()
        self.jobs.keep("delivery", self.delivery.run)
        refresh = self._noticing(self._refresh)
        self.jobs.repeat("refresh", refresh, self._settings.every_s, self._wake)
        beat = self._noticing(lambda: self._heartbeat(url, started))
        self.jobs.repeat("heartbeat", beat, _HEARTBEAT_S / 3)
        self.jobs.repeat("listen", self._noticing(self._listen), _LISTEN_AGAIN_S)

    def _noticing(self, work: Work) -> Work:
        """The work with the store's absence noted, which is no fault of the work."""

        async def noting() -> None:
            try:
                await work()
            except StoreUnavailable as error:
                self._seldom_at = -math.inf  # it may come back with nothing, or with something else
                self.delivery.away(error)

        return noting

    async def _refresh(self) -> None:
        """Take in thresholds, and now and then apps and the fleet's key; steer where it leads."""
        now = asyncio.get_running_loop().time()
        if now >= self._seldom_at:
            self._seldom_at = math.inf  # apps that change meanwhile are asked for again
            try:
                await self.read_apps()
                self.counting.key = await self.store.secret(self.counting.own_key)
            except BaseException:
                self._seldom_at = -math.inf
                raise
            self._seldom_at = min(self._seldom_at, now + _SELDOM_S)
        for name in list(self._tasks):
            self.audits.look(name)
            if await self.leading.refresh(name, self._clock()):
                self._wake.set()

    async def _heartbeat(self, url: str, started: float) -> None:
        names = tuple(self._tasks.values())
        info = AgentInfo(self.agent_id, url, names, started, self._clock())
        await self.store.heartbeat(info, _HEARTBEAT_S)

    async def _listen(self) -> None:
        """Take in what another agent changed; polling covers what is missed."""
        async for change in self.store.changes():
            if change.states:
                self.leading.heard(change.what, change.states)
            else:
                self._ask_soon()

    def _ask_soon(self) -> None:
        """Refresh soon, with apps, and not when every other agent does."""
        self._seldom_at = -math.inf
        if self._asks is None:
            spread_s = random.uniform(0.0, _SPREAD_S)
            self._asks = asyncio.get_running_loop().call_later(spread_s, self._ask_now)

    def _ask_now(self) -> None:
        self._asks = None
        self._wake.set()

    async def close(self) -> None:
        """Stop the jobs, and deliver or journal what was counted; nothing waits without bound."""
        if self._asks is not None:
            self._asks.cancel()
        await self.jobs.close(_JOBS_END_S)
        await self.delivery.flush(_FLUSH_S)
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_STORE_CLOSES_S):
                await self.store.close()
        self._journal.close()
