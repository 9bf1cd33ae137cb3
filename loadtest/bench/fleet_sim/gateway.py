"""A gateway without sockets and threads: its loop, the product's lane of jobs, and its batcher.

It follows `serving.pool` and `serving.batch_runner`: a thread prepares a call's image, then runs
what batches are due, its own call's or others'.
"""

from __future__ import annotations

import contextlib
import math
import queue
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from hawkvision.errors import DeadlineExceeded, HawkVisionError, Overloaded
from hawkvision.serving.batcher import Batcher
from hawkvision.serving.claims import Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.job import Job
from hawkvision.serving.lane import Lane
from hawkvision.serving.waiting import Batch, Limits, Turned, Waiting
from loadtest.bench.fleet_sim.settings import GatewayCosts
from loadtest.bench.fleet_sim.timeline import Timeline

_IMAGE_BYTES = 1


class Caller(Protocol):
    """Who asked. `cancelled` once nobody waits any more."""

    claim: Claim
    cancelled: bool

    def ready(self, error: HawkVisionError | None) -> None:
        """The answer leaves the gateway, or the refusal."""
        ...


@dataclass(slots=True)
class _Place:
    """Implements `job.Waiter` for a caller."""

    caller: Caller
    arrived: float

    def done(self) -> bool:
        return self.caller.cancelled

    def cancelled(self) -> bool:
        return self.caller.cancelled

    def set_result(self, result: Any, /) -> None:
        self.caller.ready(None)

    def set_exception(self, fault: BaseException, /) -> None:
        assert isinstance(fault, HawkVisionError)
        self.caller.ready(fault)


@dataclass
class GatewayTotals:
    """What a gateway did; `busy_s` is of its threads, `front_s` of its loop."""

    calls: int = 0
    refused: int = 0
    late: int = 0
    busy_s: float = 0.0
    front_s: float = 0.0


class SimulatedGateway:
    """`batches` counts batches by size; `waits` are seconds until a call's thread began it."""

    def __init__(self, timeline: Timeline, costs: GatewayCosts, rng: random.Random) -> None:
        self._timeline = timeline
        self._costs = costs
        self._rng = rng
        self._lane = Lane("sim", costs.threads, costs.max_queue, math.inf, 0, FairQueue[Job]())
        self._idle = costs.threads
        self._front_at = 0.0
        self._running = 0
        limits = Limits(costs.max_batch, costs.max_queue + costs.threads)
        self._batcher: Batcher[Job] | None = None
        if costs.batching:
            self._batcher = Batcher(limits, costs.slots)
        self._look_at = math.inf
        self.totals = GatewayTotals()
        self.batches: Counter[int] = Counter()
        self.waits: list[float] = []

    def _clock(self) -> float:
        return self._timeline.now

    def arrive(self, caller: Caller, allowed_s: float) -> None:
        """A call comes in now, that allows so much time."""
        now = self._timeline.now
        self.totals.calls += 1
        self._front_at = max(now, self._front_at) + self._costs.front_s
        self.totals.front_s += self._costs.front_s
        self._timeline.at(self._front_at, self._enter, caller, now + allowed_s, now)

    def _enter(self, caller: Caller, deadline: float, arrived: float) -> None:
        if caller.cancelled:
            return
        place = _Place(caller, arrived)
        job = Job(_nothing, None, 1, deadline, self._clock, place, self, caller.claim)
        try:
            self._check_batch(job)
            self._admit(job)
        except (Overloaded, DeadlineExceeded) as error:
            self._refuse(caller, error)
            return
        self._lane.append(job)
        self._begin()

    def _refuse(self, caller: Caller, error: HawkVisionError) -> None:
        if isinstance(error, Overloaded):
            self.totals.refused += 1
        else:
            self.totals.late += 1
        caller.ready(error)

    def _check_batch(self, job: Job) -> None:
        if self._batcher is not None and self._batcher.images:
            waiting = Waiting(job, 1, _IMAGE_BYTES, job.deadline, job.claim)
            self._batcher.check(waiting, self._clock())

    def _admit(self, job: Job) -> None:
        """As the pool does. Raises Overloaded."""
        lane = self._lane
        if lane.admission.idle:
            job.until = job.allowed_s = math.inf
            return
        while True:
            try:
                lane.check_fair(1, job.claim, job.deadline, self._clock())
            except Overloaded:
                dropped = lane.drop_unwanted(self._clock())
                if not dropped and not lane.admission.fits(1):
                    lower = lane.drop_lower(job.claim)
                    dropped = [] if lower is None else [lower]
                if not dropped:
                    raise
                for one in dropped:
                    self.hand_over(one)
            else:
                break
        job.until = job.deadline
        job.allowed_s = job.deadline - self._clock()

    # Threads.

    def _begin(self) -> None:
        """Let idle threads take what waits."""
        while self._idle:
            job = self._take()
            if job is None:
                return
            self._idle -= 1
            self._serve(job)

    def _take(self) -> Job | None:
        with contextlib.suppress(queue.Empty):
            self._lane.turns.get_nowait()
        return self._lane.take(self._clock())

    def _serve(self, job: Job) -> None:
        now = self._clock()
        place = job.future
        assert isinstance(place, _Place)
        try:
            job.check()
            if job.needs_s and now + job.needs_s > job.until:
                raise _too_late()
        except DeadlineExceeded as error:
            job.fault = error
            self._served(job, None)
            return
        self.waits.append(now - place.arrived)
        took = self._costs.prepare_s
        if self._batcher is None:
            took += self._spread(self._costs.setup_s + self._costs.each_s)
            self.batches[1] += 1
        self.totals.busy_s += took
        self._timeline.at(now + took, self._served, job, took)

    def _spread(self, seconds: float) -> float:
        return seconds * self._rng.lognormvariate(0.0, self._costs.spread)

    def _served(self, job: Job, took: float | None) -> None:
        """A thread is done with a job's own part."""
        self._lane.busy -= 1
        self._lane.admission.ended(1, took)
        if self._batcher is None or took is None:
            self.hand_over(job)
            self._next()
            return
        waiting = Waiting(job, 1, _IMAGE_BYTES, job.deadline, job.claim)
        waiting.wanted = lambda: job.wanted
        try:
            turned = self._batcher.offer(waiting, self._clock())
        except HawkVisionError as error:
            job.fault = error
            self.hand_over(job)
        else:
            self._tell(turned)
        self._work()

    def _next(self) -> None:
        self._idle += 1
        self._begin()

    def _work(self) -> None:
        """A thread runs what batch is due; it is free where none is."""
        batch = self._due_batch()
        if batch is None:
            self._next()
            return
        self._run(batch, helper=False)

    def _due_batch(self) -> Batch[Job] | None:
        batcher = self._batcher
        assert batcher is not None
        if self._running >= self._costs.slots or not batcher.images:
            return None
        coming = len(self._lane.waiting) if batcher.cost.setup_s > 0 else 0
        batch, turned = batcher.take(self._clock(), coming=coming, coming_s=self._costs.prepare_s)
        self._tell(turned)
        if batch is None and batcher.images:
            latest = batcher.latest()
            if latest < self._look_at:
                self._look_at = latest
                self._timeline.at(latest, self._look)
        return batch

    def _look(self) -> None:
        """What the thread that looks after waits does."""
        self._look_at = math.inf
        batch = self._due_batch()
        if batch is not None:
            self._run(batch, helper=True)

    def _run(self, batch: Batch[Job], helper: bool) -> None:
        self._running += 1
        self.batches[batch.images] += 1
        took = self._spread(self._costs.setup_s + self._costs.each_s * batch.images)
        self.totals.busy_s += took
        self._timeline.at(self._clock() + took, self._ran, batch, took, helper)

    def _ran(self, batch: Batch[Job], took: float, helper: bool) -> None:
        assert self._batcher is not None
        self._running -= 1
        self._batcher.ended(batch, took, self._clock())
        for one in batch.members:
            self.hand_over(one.work)
        more = self._due_batch()
        if more is not None:
            self._run(more, helper)
        elif not helper:
            self._next()

    def _tell(self, turned: list[Turned[Job]]) -> None:
        for one in turned:
            one.waiting.work.fault = one.error
            self.hand_over(one.waiting.work)

    # The office of jobs.

    def hand_over(self, job: Job) -> None:
        """See `job.Office`."""
        late = job.late
        admission = self._lane.admission
        if late is not None:
            admission.lateness.learn(late, job.allowed_s, admission.service_s)
        if isinstance(job.fault, Overloaded):
            self.totals.refused += 1
        elif job.fault is not None:
            self.totals.late += 1
        job.settle()

    def queue_again(self, job: Job) -> None:
        """See `job.Office`; nothing here has more to do."""
        raise NotImplementedError


def _nothing(item: object, ticket: object) -> None:
    """The work of a job whose time is drawn."""


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the answer was ready")
