"""One lane of a pool: its queue, the threads that serve it, and what the event loop does itself."""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving import promises
from hawkvision.serving.admission import Admission, whole_seconds
from hawkvision.serving.batcher import made_way
from hawkvision.serving.claims import Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.job import Job


class Line(Protocol):
    """Jobs in some order: a deque, or a `FairQueue`."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Job]: ...
    def append(self, job: Job, /) -> None:
        """One more."""
        ...

    def popleft(self) -> Job:
        """Whose turn it is. Raises IndexError where nobody waits."""
        ...

    def remove(self, job: Job, /) -> None:
        """One that is not served. Raises ValueError where it does not wait."""
        ...


class Lane:
    """A queue and the threads that serve it. Not started before its first job.

    Jobs that are `kept` wait for the event loop; `busy` counts those that threads have or wait for
    them. While it is below `helpers` kept ones are for threads too, unless the loop is best left
    `alone` with them.
    """

    def __init__(
        self, name: str, threads: int, max_queue: int, most: float, nice: int, line: Line
    ) -> None:
        self.admission = Admission(threads, max_queue)
        self.waiting = line
        self.kept: deque[Job] = deque()
        self.busy = 0
        self.helpers = threads - 1
        self.alone = False
        self.turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.most = most
        self.nice = nice
        self._names = [f"{name}-{index}" for index in range(threads)]
        self._started = False

    def start(self, serve: Callable[[Lane], None]) -> None:
        """Let its threads `serve` it; the second time nothing happens."""
        if self._started:
            return
        self._started = True
        for name in self._names:
            threading.Thread(target=serve, args=(self,), name=name, daemon=True).start()

    def append(self, job: Job) -> None:
        """Queue a job for which there is room."""
        self.admission.entered(job.items)
        self._give(job)

    def keep(self, job: Job) -> None:
        """Queue a job for the event loop."""
        self.admission.entered(job.items)
        self.kept.append(job)

    def lend(self, most: float) -> None:
        """Let threads take of the kept jobs, while fewer than `most` are theirs."""
        while self.kept and self.busy < most and not (self.alone and most < math.inf):
            self._give(self.kept.popleft())

    def _give(self, job: Job) -> None:
        self.busy += 1
        self.waiting.append(job)
        self.turns.put(True)

    def take(self, now: float) -> Job | None:
        """The next job, or None if it was dropped meanwhile."""
        if not self.waiting:
            return None
        if isinstance(self.waiting, FairQueue) and len(self.waiting) > 1:
            fair: FairQueue[Job] = self.waiting
            free_at = now + self.admission.slack_s(min(job.allowed_s for job in fair))
            urgent = promises.must_go_first(fair, fair.peek(), free_at, self.admission.each_s)
            if urgent is not None:
                fair.remove(urgent)
                return self._begun(urgent)
        return self._begun(self.waiting.popleft())

    def take_kept(self) -> Job | None:
        """The next job for the event loop, if there is one."""
        return self._begun(self.kept.popleft()) if self.kept else None

    def take_more(self) -> Job | None:
        """A kept job for a thread that has just ended one and need not be woken for it."""
        if self.waiting or self.alone or self.busy >= self.helpers or not self.kept:
            return None
        self.busy += 1
        return self.take_kept()

    def _begun(self, job: Job) -> Job:
        self.admission.started(job.items)
        job.needs_s = job.items * self.admission.service_s if job.allowed_s < math.inf else 0.0
        return job

    def drop_unwanted(self) -> list[Job]:
        """Make room: what nobody wants need not wait for a thread to find that out."""
        dropped = [job for job in self.waiting if not job.wanted]
        for job in dropped:
            self._withdraw(job)
        for job in [job for job in self.kept if not job.wanted]:
            self.kept.remove(job)
            self.admission.withdrawn(job.items)
            dropped.append(job)
        for job in dropped:
            try:
                job.check()
            except DeadlineExceeded as error:
                job.fault = error
        return dropped

    def lowest(self, claim: Claim) -> Job | None:
        """The job of the lowest priority, if that is lower than the claim's."""
        if not self.waiting:
            return None
        last = max(self.waiting, key=lambda job: (job.claim.priority, job.deadline))
        return None if last.claim.priority <= claim.priority else last

    def drop_lower(self, claim: Claim) -> Job | None:
        """Make room: take out `lowest`."""
        last = self.lowest(claim)
        if last is None:
            return None
        self._withdraw(last)
        last.fault = made_way(whole_seconds(self.admission.wait_s))
        return last

    def check_fair(self, items: int, claim: Claim, deadline: float, now: float) -> None:
        """Raise Overloaded unless it and those who wait already would all be in time."""
        own_s = promises.patience(self.waiting, claim, deadline - now)
        ahead = promises.ahead_of(self.waiting, claim, deadline)
        self.admission.check(items, own_s, ahead)
        free_at, each_s = now + self.admission.rest_s, self.admission.each_s
        if promises.makes_late(self.waiting, claim, deadline, items, free_at, each_s):
            raise Overloaded(
                "another's answer would be late for it",
                retry_after_s=whole_seconds(self.admission.wait_s),
                hint="Retry after the time in retry-after.",
            )

    def _withdraw(self, job: Job) -> None:
        self.waiting.remove(job)
        self.busy -= 1
        self.admission.withdrawn(job.items)

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        if self._started:
            for _ in self._names:
                self.turns.put(False)
