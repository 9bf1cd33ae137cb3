"""Tracking beside the requests: counts, audits, apps, feedback, thresholds in force.

Requests only add to counters and read dictionaries; everything that touches the store runs in
tasks of its own, so a store that is slow, full or away costs them nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from edge_agent.upstream import Call, Refused, Upstream
from hawkvision.cascade import AccuracyTarget
from hawkvision.contract.delivered import StoreStatus
from hawkvision.errors import HawkVisionError, StaleFence, StoreUnavailable
from hawkvision.tracking import counts as observe
from hawkvision.tracking.control.audit import AuditPolicy, AuditSettings
from hawkvision.tracking.control.steering import ALL_APPS, FROZEN, TaskSteering
from hawkvision.tracking.receipts import Receipt, issue, verify
from hawkvision.tracking.records import AgentInfo, AppTarget, CountKey, ThresholdState
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.buckets import EVER_S
from hawkvision.tracking.store.delivery import Counters, Delivery
from hawkvision.tracking.store.journal import Journal

_log = logging.getLogger(__name__)
_AUDITS_AT_ONCE = 4
_AUDIT_S = 2.0
_FEEDBACK_S = 24 * 3600.0
_REMEMBERED = 100_000
_LEAD_S = 3.0
_HEARTBEAT_S = 5.0


class Tracking:
    """One agent's part in a fleet. `store` may be shared; the journal is this agent's own."""

    def __init__(
        self,
        tasks: dict[str, LocalTask],
        upstream: Upstream,
        store: Store,
        journal: Journal,
        *,
        audits: AuditSettings,
        control: bool,
        enabled: bool = True,
        every_s: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.agent_id = secrets.token_hex(6)
        self.apps: dict[str, AppTarget] = {}
        self.control = control
        self._enabled = enabled
        self.counters = Counters()
        self.delivery = Delivery(store, journal, self.counters, every_s=every_s, clock=clock)
        self._tasks = tasks
        self._upstream = upstream
        self._journal = journal
        self._clock = clock
        self._every_s = every_s
        self._rng = random.Random(self.agent_id)
        self._own_key = self._key = secrets.token_bytes(32)
        self._numbers = itertools.count(secrets.randbits(31) << 32)
        self._in_force: dict[str, dict[str, ThresholdState]] = {name: {} for name in tasks}
        self._steering = {name: TaskSteering(local.policy) for name, local in tasks.items()}
        self._audits = {
            name: AuditPolicy(
                float(local.policy.scores.confidence.mean()),
                float(local.policy.scores.confidence.std()),
                audits,
            )
            for name, local in tasks.items()
        }
        self._seen: dict[str, tuple[float, float]] = dict.fromkeys(tasks, (0.0, 0.0))
        self._auditing = 0
        self._claimed: OrderedDict[int, None] = OrderedDict()
        self._jobs: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    # On the way of a request: no waiting.

    def in_force(self, task: str, target: AccuracyTarget, app: str) -> AccuracyTarget:
        """The certified target with the threshold that the fleet's leader has set above it."""
        states = self._in_force[task]
        if not states:
            return target
        state = states.get(observe.counted_target(target.accuracy))
        if state is None or any(
            frozen is not None and frozen.state == "frozen"
            for frozen in (states.get(f"{FROZEN}{app}"), states.get(f"{FROZEN}{ALL_APPS}"))
        ):
            return target
        if state.threshold <= target.threshold:
            return target
        return AccuracyTarget(target.accuracy, state.threshold, target.expected_escalation_rate)

    def answered(self, outcome: Outcome) -> str:
        """Count an answer, perhaps audit it; its request id.

        Damaged images (`loss_level` above 0) have thresholds of their own: they are counted, and
        say nothing about drift of the traffic.
        """
        if not self._enabled:
            return f"{next(self._numbers):016x}"
        local, edge, dc = outcome.local, outcome.edge.prediction, outcome.dc
        name = local.task.name
        key = CountKey(name, outcome.app, observe.counted_target(outcome.target.accuracy))
        answer = outcome.prediction
        observe.answered(
            self.counters.add,
            key,
            served_by=outcome.served_by,
            degraded=outcome.degraded,
            loss_level=outcome.loss_level,
            edge_confidence=edge.confidence,
            answer_confidence=answer.confidence,
        )
        if outcome.loss_level == 0:
            seen, total = self._seen[name]
            self._seen[name] = (seen + 1, total + edge.confidence)
        if outcome.loss_level > 0 or outcome.image is None:
            pass
        elif dc is not None:
            self._compare(local, edge, dc, 1.0)
        elif outcome.degraded is None:
            share = self._audits[name].share
            if self._rng.random() < share and self._auditing < _AUDITS_AT_ONCE:
                self._start(self._audit(local, key, outcome.image, edge, 1 / share))
        return issue(
            Receipt(
                number=next(self._numbers),
                time_s=int(self._clock()),
                task=name,
                app=outcome.app,
                target=key.target,
                answer=local.task.kind.brief(answer),
                edge=local.task.kind.brief(edge),
                escalated=dc is not None,
                confidence=edge.confidence,
            ),
            self._key,
        )

    def _compare(self, local: LocalTask, edge: Any, dc: Any, weight: float) -> None:
        kind = local.task.kind
        observe.compared(
            self.counters.add,
            local.task.name,
            edge_confidence=edge.confidence,
            edge_error=kind.soft_loss(edge, dc),
            dc_error=kind.soft_loss(dc, dc),
            weight=weight,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _audit(
        self, local: LocalTask, key: CountKey, image: bytes, edge: Any, weight: float
    ) -> None:
        """Ask the data center about an image that the edge has answered."""
        self._auditing += 1
        try:
            due = time.monotonic() + _AUDIT_S
            reply = await self._upstream.ask(Call(local.task, image, due, "audit", background=True))
        finally:
            self._auditing -= 1
        if isinstance(reply, Refused):
            return
        self._compare(local, edge, reply.prediction, weight)
        error = local.task.kind.soft_loss(edge, reply.prediction)
        observe.audited(self.counters.add, key, edge_error=error, weight=weight)

    # Feedback and apps.

    def receipt(self, request_id: str) -> Receipt | None:
        """The facts of an answer that this fleet gave within a day; None for anything else."""
        found = verify(request_id, self._key, self._own_key)
        if found is None or found.task not in self._tasks:
            return None
        return found if abs(self._clock() - found.time_s) <= _FEEDBACK_S else None

    async def feed_back(self, receipt: Receipt, truth: Any) -> bool:
        """Count the truth of an answer; False where this answer had one before."""
        if receipt.number in self._claimed:
            return False
        self._claimed[receipt.number] = None
        if len(self._claimed) > _REMEMBERED:
            self._claimed.popitem(last=False)
        # With the store away, only this agent's own memory guards against copies.
        with contextlib.suppress(StoreUnavailable):
            if not await self.store.claim(receipt.task, str(receipt.number), _FEEDBACK_S):
                return False
        kind = self._tasks[receipt.task].task.kind
        observe.fed_back(
            self.counters.add,
            CountKey(receipt.task, receipt.app, receipt.target),
            served_by="dc" if receipt.escalated else "edge",
            error=kind.judge(receipt.answer, truth),
            edge_error=kind.judge(receipt.edge, truth),
        )
        return True

    # Beside the requests.

    def audit_share(self, task: str) -> float:
        """The share of local answers that are audited now."""
        return self._audits[task].share

    def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """What the leader has set, by target."""
        return self._in_force[task]

    def status(self) -> StoreStatus:
        """Whether the store answers, and what waits for it."""
        since = self.delivery.unavailable_since
        return StoreStatus(
            available=since is None,
            unavailable_since=since,
            reason=self.delivery.reason,
            backlog=self.delivery.backlog,
            dropped=self._journal.dropped,
        )

    def start(self, url: str) -> None:
        """Begin to deliver, refresh, lead and listen."""
        if not self._enabled:
            return
        started = self._clock()
        self._start(self.delivery.run())
        self._start(self._keep(self._refresh, self._every_s, self._wake))
        beat = self._keep(lambda: self._heartbeat(url, started), _HEARTBEAT_S / 3, asyncio.Event())
        self._start(beat)
        self._start(self._listen())

    def repeat(self, work: Callable[[], Coroutine[Any, Any, None]], every_s: float) -> None:
        """Run `work` every so often, beside the requests, until `close`."""
        if self._enabled:
            self._start(self._keep(work, every_s, asyncio.Event()))

    async def _keep(
        self, work: Callable[[], Coroutine[Any, Any, None]], every_s: float, wake: asyncio.Event
    ) -> None:
        """Repeat `work` every so often, and at once when woken, whatever goes wrong."""
        while True:
            try:
                await work()
            except StoreUnavailable as error:
                self.delivery.away(error)
            except HawkVisionError as error:
                _log.warning("%s", error)
            except Exception:
                _log.exception("tracking")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), every_s)
            wake.clear()

    async def _refresh(self) -> None:
        """Take in apps, thresholds and the fleet's key; steer where this agent leads."""
        self.apps = {target.app: target for target in await self.store.apps()}
        self._key = await self.store.secret(self._own_key)
        for name in self._tasks:
            seen, total = self._seen[name]
            self._seen[name] = (0.0, 0.0)
            self._audits[name].see(seen, total)
            if self.control:
                await self._lead(name)
            self._in_force[name] = await self.store.thresholds(name)

    async def _lead(self, task: str) -> None:
        fence = await self.store.take_lead(task, self.agent_id, _LEAD_S)
        if fence is None:
            return
        now = self._clock()
        totals = await self.store.counts(task, window_s=EVER_S, now=now)
        current = await self.store.thresholds(task)
        states = self._steering[task].update(totals, current, fence=fence, now=now)
        if states:
            with contextlib.suppress(StaleFence):
                await self.store.put_thresholds(task, states, fence)

    async def _heartbeat(self, url: str, started: float) -> None:
        info = AgentInfo(self.agent_id, url, tuple(self._tasks), started, self._clock())
        await self.store.heartbeat(info, _HEARTBEAT_S)

    async def _listen(self) -> None:
        """Refresh at once when another agent changed something; polling covers what is missed."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                async for _ in self.store.changes():
                    self._wake.set()
            await asyncio.sleep(1.0)

    async def close(self) -> None:
        """Stop, and deliver or journal what was counted."""
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.delivery.flush(1.0)
        with contextlib.suppress(StoreUnavailable):
            await self.store.close()
        self._journal.close()
