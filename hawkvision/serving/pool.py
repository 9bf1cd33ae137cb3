"""A few threads that decode and infer, off the event loop, behind bounded queues.

Both services use it. A job that nobody waits for any more (cancelled, or past its deadline) is
dropped unserved. Large images wait in a queue of their own, for threads of their own that stand
back, half as many: whoever sends small ones does not wait for them.

Work that is known to be quick (`pace.py`) the event loop does itself, as if it were one of the
threads: going to a thread and back costs more than it is worth there. It does such jobs for two
milliseconds of each of its rounds, so that whatever else it has to do waits for little more; what
is left goes to the other threads, if there are any.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from hawkvision.errors import Overloaded
from hawkvision.serving.claims import ANYBODY, Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.job import Clock, Job, Ran, Ticket, Waiter
from hawkvision.serving.lane import Lane, Line
from hawkvision.serving.nice import yield_by
from hawkvision.serving.pace import Pace

In = TypeVar("In")
Out = TypeVar("Out")

QUICK_PIXELS = 2_100_000
"""A job that decodes more than this, in all, is a large one; 1920x1080 is not."""

LOOP_PIXELS = 500_000
"""A job that decodes more than this is nothing for the event loop, however quick others are."""

ROUND_S = 0.002
"""So long the event loop does kept jobs before others have their turn, seconds; it ends the last.
One after the other they find the network in the processor's caches."""

_YIELDS = 10
"""By so much threads for large jobs are nicer, setpriority(2): about a tenth of a busy core."""


class WorkerPool:
    """Runs work on threads for coroutines of one event loop.

    First come, first served; or, if `fair`, in the order of a `FairQueue`, where users push audits
    and probes out of a full queue. Implements `Office` for its jobs.

    Of small jobs and of large ones at most `max_queue` items wait each, and nobody waits who would
    be answered too late. A job is large once it has weighed in with more than `quick_pixels`.
    Threads for small jobs are `nice` by so much: where cores are scarce, whoever only has to be
    told that there is no room does not wait for a turn among them.
    Finished jobs are handed back in groups: a thread that knows the loop to be woken does not wake
    it again.
    """

    def __init__(
        self,
        threads: int,
        max_queue: int,
        loop: asyncio.AbstractEventLoop,
        clock: Clock = time.monotonic,
        *,
        quick_pixels: int = QUICK_PIXELS,
        fair: bool = False,
        nice: int = 0,
    ) -> None:
        self._fair = fair
        self._loop = loop
        self._clock = clock
        self._quick = Lane("infer", threads, max_queue, quick_pixels, nice, self._line())
        self._large = Lane(
            "large", max(1, threads // 2), max_queue, math.inf, _YIELDS, self._line()
        )
        self._lock = threading.Lock()
        self._done: deque[Job] = deque()
        self._woken = False
        self._turning = False
        self._quick.start(self._serve)

    def _line(self) -> Line:
        return FairQueue[Job]() if self._fair else deque[Job]()

    @property
    def pending(self) -> int:
        """Items waiting or being worked on."""
        return self._quick.admission.pending + self._large.admission.pending

    @property
    def waiting(self) -> int:
        """Items that wait for a thread."""
        return self._quick.admission.waiting + self._large.admission.waiting

    @property
    def wait_s(self) -> float:
        """How long the next small item would wait for a thread, seconds, as far as is known."""
        return self._quick.admission.wait_s

    def check_room(self, items: int = 1, deadline: float = math.inf) -> None:
        """Raise Overloaded unless `items` more fit and would be done by `deadline`."""
        with self._lock:
            self._check_room(self._quick, items, deadline)

    def check_turn(self, claim: Claim, deadline: float) -> None:
        """Raise Overloaded unless one item more would be done by `deadline`; nobody makes way yet.

        For whoever may still push others out, with its claim, when it is submitted.
        """
        with self._lock:
            lane = self._quick
            if lane.admission.idle:
                return
            if not lane.admission.fits(1) and lane.lowest(claim) is not None:
                return
            self._check_room(lane, 1, deadline, claim, push=False)

    def submit(
        self,
        work: Callable[[In, Ticket], Out],
        item: In,
        *,
        items: int = 1,
        deadline: float = math.inf,
        pace: Pace | None = None,
        claim: Claim = ANYBODY,
    ) -> asyncio.Future[Out]:
        """Queue `work(item, ticket)`, which counts as so many items.

        Work that decodes says so to its ticket first (`Ticket.weigh`), and is begun again on
        another thread where that is much. `pace`, of work of this kind, lets the event loop do it
        where it is quick: for work that computes, and waits for nothing. Work that returns `LATER`
        answers by its ticket.

        Raises Overloaded at once. The future fails with DeadlineExceeded where the job was
        dropped, and with Overloaded where there is no room for a large one; cancelling it
        withdraws the job.
        """
        future: asyncio.Future[Out] = self._loop.create_future()
        self.enter(work, item, future, items=items, deadline=deadline, pace=pace, claim=claim)
        return future

    def enter(
        self,
        work: Callable[[In, Ticket], Any],
        item: In,
        into: Waiter,
        *,
        items: int = 1,
        deadline: float = math.inf,
        pace: Pace | None = None,
        claim: Claim = ANYBODY,
    ) -> None:
        """As `submit`, for a waiter that is not a future."""
        job = Job(work, item, items, deadline, self._clock, into, self, claim, pace)
        lane = self._quick
        with self._lock:
            self._admit(lane, job)
            # Beside large ones it might have to wait for memory.
            if pace is None or not pace.quick or self._large.admission.pending:
                lane.append(job)
                return
            lane.keep(job)
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """On the event loop, once in a round: do kept jobs for `ROUND_S`, one at least."""
        until = time.perf_counter() + ROUND_S
        settled: list[Job] = []
        while self._do_kept(settled) and time.perf_counter() < until:
            pass
        self._turning = bool(self._quick.kept)
        if self._turning:
            self._loop.call_soon(self._turn)
        for job in settled:
            job.settle()

    def _do_kept(self, settled: list[Job]) -> bool:
        """Do one kept job. Threads may have the others; whether any are left."""
        lane = self._quick
        with self._lock:
            if self._large.admission.pending:
                lane.lend(math.inf)
            job = lane.take_kept()
            lane.lend(lane.helpers)
        if job is None:
            return False
        items = job.items
        ran = job.run(LOOP_PIXELS)
        with self._lock:
            self._note(lane, job, items, ran)
            if self._is_done(job, ran, lane):
                settled.append(job)
        return bool(lane.kept)

    def _note(self, lane: Lane, job: Job, items: int, ran: Ran) -> None:
        """Learn from a job that was done, or weighed too much here. Under the lock."""
        lane.admission.ended(items, ran.spent_s if ran.how == "done" else None)
        if ran.how == "later":
            lane.admission.away += items  # before or after its batch has run
        if ran.how == "later" or job.pace is None or ran.spent_s is None or job.fault is not None:
            return
        job.pace.learn(ran.spent_s, ran.busy_s, light=job.weight <= LOOP_PIXELS)
        self._quick.alone = job.pace.quick and job.pace.alone

    def _is_done(self, job: Job, ran: Ran, lane: Lane) -> bool:
        """Whether it can be handed over; one that is too large here goes to `lane`, if it can."""
        return ran.how == "done" or (ran.how == "too large" and not self._moved(job, lane))

    def waiting_for(self, work: object) -> int:
        """Items that wait for a thread to do this work with them; from any thread."""
        return self._quick.items_for(work)

    def _enter(self, lane: Lane, job: Job) -> None:
        """Queue it for threads, or raise Overloaded. Under the lock."""
        self._admit(lane, job)
        lane.append(job)

    def _admit(self, lane: Lane, job: Job) -> None:
        """Raise Overloaded where a job has no place. Under the lock."""
        if lane.admission.idle:
            job.until = job.allowed_s = math.inf
        else:
            alone = lane.alone and job.pace is not None
            self._check_room(lane, job.items, job.deadline, job.claim, alone=alone)
            job.until = job.deadline
            job.allowed_s = job.deadline - self._clock()

    def _check_room(
        self,
        lane: Lane,
        items: int,
        deadline: float,
        claim: Claim = ANYBODY,
        *,
        alone: bool = False,
        push: bool = True,
    ) -> None:
        now = self._clock()
        while True:
            try:
                if self._fair:
                    lane.check_fair(items, claim, deadline, now)
                else:
                    lane.admission.check(items, deadline - now, alone=alone)
                return
            except Overloaded:
                dropped = lane.drop_unwanted(now)
                if not dropped and push and self._fair and not lane.admission.fits(items):
                    lower = lane.drop_lower(claim)
                    dropped = [] if lower is None else [lower]
                if not dropped:
                    raise
                for job in dropped:
                    self._give_back(job)

    def _serve(self, lane: Lane) -> None:
        yield_by(lane.nice)
        while lane.turns.get():
            with self._lock:
                job = lane.take(self._clock())
            while job is not None:
                items = job.items
                ran = job.run(lane.most)
                with self._lock:
                    lane.busy -= 1
                    self._note(lane, job, items, ran)
                    if self._is_done(job, ran, self._large):
                        self._give_back(job)
                    job = lane.take_more()

    def hand_over(self, job: Job) -> None:
        """See `Office.hand_over`."""
        with self._lock:
            self._is_back(job)
            self._give_back(job)

    def queue_again(self, job: Job) -> None:
        """See `Office.queue_again`. What was let in once is not refused now."""
        with self._lock:
            self._is_back(job)
            self._quick.append(job)

    def _is_back(self, job: Job) -> None:
        """Of work that returned `LATER`: its batch is done with it. Under the lock."""
        lane = self._large if job.weight > self._quick.most else self._quick
        lane.admission.away -= job.items

    def batch_ended(self, items: int, busy_s: float) -> None:
        """Learn what such work takes: so many items were prepared and run on a thread in so long.

        From any thread; of work that returned `LATER`.
        """
        with self._lock:
            self._quick.admission.batch_ended(items, busy_s)

    def _moved(self, job: Job, lane: Lane) -> bool:
        """Whether a job that turned out to be large has a place elsewhere. Under the lock."""
        lane.start(self._serve)
        try:
            self._enter(lane, job)
        except Overloaded as error:
            job.fault = error
            return False
        return True

    def _give_back(self, job: Job) -> None:
        self._done.append(job)
        # Append, then look: whoever clears the flag takes out what was appended before.
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _deliver(self) -> None:
        self._woken = False
        admission = self._quick.admission
        while self._done:
            job = self._done.popleft()
            late = job.late
            if late is not None:
                admission.lateness.learn(late, job.allowed_s, admission.service_s)
            job.settle()

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        self._quick.close()
        self._large.close()
