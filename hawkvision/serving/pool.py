"""A few threads that decode and infer, off the event loop, behind bounded queues.

Both services use it. A job that nobody waits for any more (cancelled, or past its deadline) is
dropped unserved. Large images wait in a queue of their own, for threads of their own that stand
back, half as many: whoever sends small ones does not wait for them.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.admission import Admission, whole_seconds
from hawkvision.serving.batcher import made_way
from hawkvision.serving.claims import ANYBODY, Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.job import Clock, Job, Ticket

In = TypeVar("In")
Out = TypeVar("Out")

QUICK_PIXELS = 2_100_000
"""A job that decodes more than this, in all, is a large one; 1920x1080 is not."""

_YIELDS = 10
"""By so much threads for large jobs are nicer, setpriority(2): about a tenth of a busy core."""


class _Line(Protocol):
    """Jobs in some order: a deque, or a `FairQueue`."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Job]: ...
    def append(self, job: Job, /) -> None: ...
    def popleft(self) -> Job: ...
    def remove(self, job: Job, /) -> None: ...


class _Lane:
    """A queue and the threads that serve it. Not started before its first job."""

    def __init__(
        self, name: str, threads: int, max_queue: int, most: float, nice: int, line: _Line
    ) -> None:
        self.admission = Admission(threads, max_queue)
        self.waiting = line
        self.turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.most = most
        self.nice = nice
        self._names = [f"{name}-{index}" for index in range(threads)]
        self._started = False

    def start(self, serve: Callable[[_Lane], None]) -> None:
        """Let its threads `serve` it; the second time nothing happens."""
        if self._started:
            return
        self._started = True
        for name in self._names:
            threading.Thread(target=serve, args=(self,), name=name, daemon=True).start()

    def append(self, job: Job) -> None:
        """Queue a job for which there is room."""
        self.admission.entered(job.items)
        self.waiting.append(job)
        self.turns.put(True)

    def take(self) -> Job | None:
        """The next job, or None if it was dropped meanwhile."""
        if not self.waiting:
            return None
        job = self.waiting.popleft()
        self.admission.started(job.items)
        return job

    def drop_unwanted(self) -> list[Job]:
        """Make room: what nobody wants need not wait for a thread to find that out."""
        dropped = [job for job in self.waiting if not job.wanted]
        for job in dropped:
            self._withdraw(job)
            try:
                job.check()
            except DeadlineExceeded as error:
                job.fault = error
        return dropped

    def drop_lower(self, claim: Claim) -> Job | None:
        """Make room: the job of the lowest priority, if that is lower than the claim's."""
        if not self.waiting:
            return None
        last = max(self.waiting, key=lambda job: (job.claim.priority, job.deadline))
        if last.claim.priority <= claim.priority:
            return None
        self._withdraw(last)
        last.fault = made_way(whole_seconds(self.admission.wait_s))
        return last

    def ahead(self, claim: Claim) -> int:
        """Waiting items that a job with such a claim cannot pass."""
        return sum(job.items for job in self.waiting if job.claim.priority <= claim.priority)

    def _withdraw(self, job: Job) -> None:
        self.waiting.remove(job)
        self.admission.withdrawn(job.items)

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        if self._started:
            for _ in self._names:
                self.turns.put(False)


class WorkerPool:
    """Runs work on threads for coroutines of one event loop.

    First come, first served; or, if `fair`, in the order of a `FairQueue`, where users push audits
    and probes out of a full queue. Implements `Office` for its jobs.

    Of small jobs and of large ones at most `max_queue` items wait each, and nobody waits who would
    be answered too late. A job is large once it has weighed in with more than `quick_pixels`.
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
    ) -> None:
        self._fair = fair
        self._loop = loop
        self._clock = clock
        self._quick = _Lane("infer", threads, max_queue, quick_pixels, 0, self._line())
        self._large = _Lane(
            "large", max(1, threads // 2), max_queue, math.inf, _YIELDS, self._line()
        )
        self._lock = threading.Lock()
        self._done: deque[Job] = deque()
        self._woken = False
        self._quick.start(self._serve)

    def _line(self) -> _Line:
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

    def submit(
        self,
        work: Callable[[In, Ticket], Out],
        item: In,
        *,
        items: int = 1,
        deadline: float = math.inf,
        claim: Claim = ANYBODY,
    ) -> asyncio.Future[Out]:
        """Queue `work(item, ticket)`, which counts as so many items.

        Work that decodes says so to its ticket first (`Ticket.weigh`), and is begun again on
        another thread where that is much. Work that returns `LATER` answers by its ticket. Raises
        Overloaded at once. The future fails with DeadlineExceeded where the job was dropped, and
        with Overloaded where there is no room for a large one; cancelling it withdraws the job.
        """
        future: asyncio.Future[Out] = self._loop.create_future()
        job = Job(work, item, items, deadline, self._clock, future, self, claim)
        with self._lock:
            self._enter(self._quick, job)
        return future

    def waiting_for(self, work: Callable[..., object]) -> int:
        """Items that wait for a thread to do this work with them."""
        with self._lock:
            return sum(job.items for job in self._quick.waiting if job.work == work)

    def _enter(self, lane: _Lane, job: Job) -> None:
        """Queue it, or raise Overloaded. Under the lock."""
        if lane.admission.idle:
            job.until = math.inf
        else:
            self._check_room(lane, job.items, job.deadline, job.claim)
            job.until = job.deadline
        lane.append(job)

    def _check_room(self, lane: _Lane, items: int, deadline: float, claim: Claim = ANYBODY) -> None:
        patience_s = deadline - self._clock()
        ahead = lane.ahead(claim) if self._fair else None
        while True:
            try:
                lane.admission.check(items, patience_s, ahead)
                return
            except Overloaded:
                dropped = lane.drop_unwanted()
                if not dropped and self._fair and not lane.admission.fits(items):
                    lower = lane.drop_lower(claim)
                    dropped = [] if lower is None else [lower]
                if not dropped:
                    raise
                for job in dropped:
                    self._give_back(job)
                if ahead is not None:
                    ahead = lane.ahead(claim)

    def _serve(self, lane: _Lane) -> None:
        _yield_by(lane.nice)
        while lane.turns.get():
            with self._lock:
                job = lane.take()
            if job is None:
                continue
            items = job.items
            ran = job.run(lane.most)
            with self._lock:
                lane.admission.ended(items, ran.spent_s)
                if ran.how == "done" or (ran.how == "too large" and not self._moved(job)):
                    self._give_back(job)
            del job

    def hand_over(self, job: Job) -> None:
        """See `Office.hand_over`."""
        with self._lock:
            self._give_back(job)

    def queue_again(self, job: Job) -> None:
        """See `Office.queue_again`. What was let in once is not refused now."""
        with self._lock:
            self._quick.append(job)

    def _moved(self, job: Job) -> bool:
        """Whether a job that turned out to be large has a place among such. Under the lock."""
        self._large.start(self._serve)
        try:
            self._enter(self._large, job)
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
        while self._done:
            self._done.popleft().settle()

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        self._quick.close()
        self._large.close()


def _yield_by(nice: int) -> None:
    """Let this thread stand back, where the system knows that of threads (Linux)."""
    if not nice or not hasattr(os, "setpriority") or not os.path.exists("/proc/self/task"):  # noqa: PTH110
        return
    thread = threading.get_native_id()
    try:
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, now + nice))
    except OSError:  # a sandbox may forbid it: then large jobs take their share
        return
