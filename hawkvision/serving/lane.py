"""One lane of a pool: its queue, the threads that serve it, and what the event loop does itself."""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Protocol

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving import promises
from hawkvision.serving.admission import Admission, whole_seconds
from hawkvision.serving.agenda import Agenda
from hawkvision.serving.batcher import made_way
from hawkvision.serving.claims import Claim
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.job import Job

_ALLOWED = attrgetter("allowed_s")


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
        self._items_for: dict[int, int] = {}
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
        work = id(job.work)  # which the job keeps
        self._items_for[work] = self._items_for.get(work, 0) + job.items
        self.turns.put(True)

    def items_for(self, work: object) -> int:
        """Items that wait for a thread to do this work; from any thread, without a lock."""
        return self._items_for.get(id(work), 0)

    def _left(self, job: Job) -> None:
        work = id(job.work)
        rest = self._items_for[work] - job.items
        if rest:
            self._items_for[work] = rest
        else:
            del self._items_for[work]

    def take(self, now: float) -> Job | None:
        """The next job, or None if it was dropped meanwhile."""
        if not self.waiting:
            return None
        if isinstance(self.waiting, FairQueue) and len(self.waiting) > 1:
            urgent = self._urgent(self.waiting, now)
            if urgent is not None:
                self.waiting.remove(urgent)
                self._left(urgent)
                return self._begun(urgent)
        job = self.waiting.popleft()
        self._left(job)
        return self._begun(job)

    def _urgent(self, fair: FairQueue[Job], now: float) -> Job | None:
        """Who has to go before the one whose turn it is."""
        agenda, first = fair.agenda, fair.peek()
        if promises.may_go(agenda, first):
            return None
        free_at = now + self.admission.slack_s(min(map(_ALLOWED, agenda.works)))
        return promises.must_go_first(agenda, first, free_at, self.admission.each_s)

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

    def drop_unwanted(self, now: float) -> list[Job]:
        """Make room: what nobody wants need not wait for a thread to find that out."""
        dropped = [job for job in self.waiting if job.is_lost(now)]
        for job in dropped:
            self._withdraw(job)
        for job in [job for job in self.kept if job.is_lost(now)]:
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
        """The job of the lowest priority, if that is lower than the claim's; of a `FairQueue`."""
        if not isinstance(self.waiting, FairQueue) or not self.waiting:
            return None
        last: Job = self.waiting.agenda.works[-1]
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
        """Raise Overloaded unless it and those who wait already would all be in time.

        Of a lane whose line is a `FairQueue`.
        """
        assert isinstance(self.waiting, FairQueue)
        agenda: Agenda[Job] = self.waiting.agenda
        own_s = promises.patience(agenda, claim, deadline - now)
        ahead = promises.ahead_of(agenda, claim, deadline)
        self.admission.check(items, own_s, ahead)
        free_at, each_s = now + self.admission.rest_s, self.admission.each_s
        if promises.makes_late(agenda, claim, deadline, items, free_at, each_s):
            raise Overloaded(
                "another's answer would be late for it",
                retry_after_s=whole_seconds(self.admission.wait_s),
                hint="Retry after the time in retry-after.",
            )

    def _withdraw(self, job: Job) -> None:
        self.waiting.remove(job)
        self._left(job)
        self.busy -= 1
        self.admission.withdrawn(job.items)

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        if self._started:
            for _ in self._names:
                self.turns.put(False)
