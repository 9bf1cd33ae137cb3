"""A few threads that decode and infer, off the event loop, behind a bounded queue.

Both services use it. A job that nobody waits for any more (cancelled, or past its deadline) is
dropped unserved.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.admission import Admission

In = TypeVar("In")
Out = TypeVar("Out")
Clock = Callable[[], float]


class Ticket(Protocol):
    """Whether a job's answer is still wanted, for the work itself to ask between its steps."""

    @property
    def wanted(self) -> bool:
        """Neither cancelled nor past its deadline."""
        ...

    def check(self) -> None:
        """Raise DeadlineExceeded unless the answer is still wanted."""
        ...


class _Job:
    """One piece of work on its way through the pool, and the ticket that it may ask.

    A job that found a thread idle has no deadline here: being late, it costs nobody's turn.
    """

    __slots__ = (
        "clock",
        "deadline",
        "fault",
        "future",
        "item",
        "items",
        "result",
        "spent_s",
        "work",
    )

    def __init__(
        self,
        work: Callable[[Any, Ticket], Any],
        item: Any,
        items: int,
        deadline: float,
        clock: Clock,
        future: asyncio.Future[Any],
    ) -> None:
        self.work = work
        self.item = item
        self.items = items
        self.deadline = deadline
        self.clock = clock
        self.future = future
        self.result: Any = None
        self.fault: BaseException | None = None
        self.spent_s: float | None = None

    @property
    def wanted(self) -> bool:
        """See `Ticket.wanted`."""
        return not self.future.cancelled() and self.clock() < self.deadline

    def check(self) -> None:
        """See `Ticket.check`."""
        if not self.wanted:
            raise DeadlineExceeded(
                "the deadline passed before the answer was ready",
                hint="Allow more time, or send fewer images at once.",
            )

    def run(self) -> None:
        """Do the work in this thread, unless nobody wants it."""
        try:
            self.check()
            start = time.perf_counter()
            try:
                self.result = self.work(self.item, self)
            finally:
                self.spent_s = time.perf_counter() - start
        except BaseException as error:
            self.fault = error

    def settle(self) -> None:
        """Hand over what came of it; on the event loop, once.

        The job forgets it then: an error's traceback leads to the job and so to its images, which
        would wait for the garbage collector.
        """
        future, fault, result = self.future, self.fault, self.result
        del self.future, self.fault, self.result, self.item
        if future.done():
            return
        if fault is not None:
            future.set_exception(fault)
        else:
            future.set_result(result)


class WorkerPool:
    """Runs work on threads for coroutines of one event loop; first come, first served.

    At most `max_queue` items wait, and nobody waits who would be answered too late. Finished jobs
    are handed back in groups: a thread that knows the loop to be woken does not wake it again.
    """

    def __init__(
        self,
        threads: int,
        max_queue: int,
        loop: asyncio.AbstractEventLoop,
        clock: Clock = time.monotonic,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._admission = Admission(threads, max_queue)
        self._waiting: deque[_Job] = deque()
        self._lock = threading.Lock()
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._done: deque[_Job] = deque()
        self._woken = False
        self._workers = [
            threading.Thread(target=self._serve, name=f"infer-{index}", daemon=True)
            for index in range(threads)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def pending(self) -> int:
        """Items waiting or being worked on."""
        return self._admission.pending

    @property
    def waiting(self) -> int:
        """Items that wait for a thread."""
        return self._admission.waiting

    @property
    def wait_s(self) -> float:
        """How long the next item would wait for a thread, seconds, as far as is known."""
        return self._admission.wait_s

    def check_room(self, items: int = 1, deadline: float = math.inf) -> None:
        """Raise Overloaded unless `items` more fit and would be done by `deadline`."""
        patience_s = deadline - self._clock()
        try:
            self._admission.check(items, patience_s)
        except Overloaded:
            if not self._drop_unwanted():
                raise
            self._admission.check(items, patience_s)

    def submit(
        self,
        work: Callable[[In, Ticket], Out],
        item: In,
        *,
        items: int = 1,
        deadline: float = math.inf,
    ) -> asyncio.Future[Out]:
        """Queue `work(item, ticket)`, which counts as so many items.

        Raises Overloaded at once. The future fails with DeadlineExceeded where the job was
        dropped; cancelling it withdraws the job.
        """
        if self._admission.idle:
            deadline = math.inf
        else:
            self.check_room(items, deadline)
        future: asyncio.Future[Out] = self._loop.create_future()
        job = _Job(work, item, items, deadline, self._clock, future)
        with self._lock:
            self._admission.entered(items)
            self._waiting.append(job)
        self._turns.put(True)
        return future

    def _serve(self) -> None:
        while self._turns.get():
            with self._lock:
                if not self._waiting:
                    continue  # its job was dropped meanwhile
                job = self._waiting.popleft()
                self._admission.started(job.items)
            job.run()
            self._done.append(job)
            del job
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
            job = self._done.popleft()
            with self._lock:
                self._admission.ended(job.items, job.spent_s)
            job.settle()

    def _drop_unwanted(self) -> bool:
        """Make room: what nobody wants need not wait for a thread to find that out."""
        with self._lock:
            dropped = [job for job in self._waiting if not job.wanted]
            for job in dropped:
                self._waiting.remove(job)
                self._admission.withdrawn(job.items)
        for job in dropped:
            try:
                job.check()
            except DeadlineExceeded as error:
                job.fault = error
            job.settle()
        return bool(dropped)

    def close(self) -> None:
        """Let the threads end after the queued jobs."""
        for _ in self._workers:
            self._turns.put(False)
