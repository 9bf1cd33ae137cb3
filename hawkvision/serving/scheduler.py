"""A bounded queue of jobs in front of a few threads; knows nothing of models or gRPC.

A job that nobody waits for any more (cancelled, or past its deadline) is dropped unserved.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hawkvision.errors import DeadlineExceeded, Overloaded

Out = TypeVar("Out")
Clock = Callable[[], float]


class Ticket:
    """Whether the answer of a job is still wanted, for the job's own work to ask."""

    def __init__(self, deadline: float, clock: Clock) -> None:
        self._deadline = deadline
        self._clock = clock
        self._withdrawn = False

    def withdraw(self) -> None:
        """Nobody waits for the answer any more."""
        self._withdrawn = True

    @property
    def wanted(self) -> bool:
        """Neither withdrawn nor past its deadline."""
        return not self._withdrawn and self._clock() < self._deadline

    def check(self) -> None:
        """Raise DeadlineExceeded unless the answer is still wanted."""
        if not self.wanted:
            raise DeadlineExceeded(
                "the deadline passed before the answer was ready",
                hint="Allow more time, or send fewer images at once.",
            )


@dataclass(frozen=True, slots=True)
class _Result(Generic[Out]):
    value: Out | None
    fault: BaseException | None


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[Out]):
    work: Callable[[Ticket], Out]
    images: int
    ticket: Ticket
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[_Result[Out]]

    def run(self) -> None:
        """Do the work in this thread and hand the result to the event loop."""
        value: Out | None = None
        fault: BaseException | None = None
        try:
            self.ticket.check()
            value = self.work(self.ticket)
        except BaseException as error:
            fault = error
        self.settle(_Result(value, fault))

    def settle(self, result: _Result[Out]) -> None:
        """Hand `result` over, from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._settle, result)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.ticket.withdraw()

    def _settle(self, result: _Result[Out]) -> None:
        if not self.answer.done():
            self.answer.set_result(result)


class Scheduler(Generic[Out]):
    """Runs jobs first come, first served on `threads` threads; at most `max_queue` images wait."""

    def __init__(self, threads: int, max_queue: int, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._max_queue = max_queue
        self._waiting: deque[_Job[Out]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"dc-infer-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait for a thread."""
        with self._changed:
            return self._count()

    async def run(
        self, work: Callable[[Ticket], Out], *, images: int, timeout_s: float | None
    ) -> Out:
        """Queue `work`, which counts as so many images, and wait for what it returns.

        `timeout_s` None means no deadline. Raises Overloaded at once when the queue is full,
        DeadlineExceeded when the job was dropped, or what the work raised.
        """
        deadline = float("inf") if timeout_s is None else self._clock() + timeout_s
        loop = asyncio.get_running_loop()
        job = _Job(work, images, Ticket(deadline, self._clock), loop, loop.create_future())
        self._put(job)
        try:
            result = await job.answer
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
        if result.fault is not None:
            raise result.fault
        return result.value  # type: ignore[return-value]

    def close(self) -> None:
        """Take no more jobs; the threads end after the waiting ones."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, job: _Job[Out]) -> None:
        with self._changed:
            if self._count() + job.images > self._max_queue:
                self._drop_unwanted()
            waiting = self._count()
            if self._closed or waiting + job.images > self._max_queue:
                raise Overloaded(
                    f"the gateway is busy: {waiting} images wait, {self._max_queue} fit",
                    hint="Retry after the seconds in `retry-after`, or send fewer images at once.",
                )
            self._waiting.append(job)
            self._changed.notify()

    def _count(self) -> int:
        return sum(job.images for job in self._waiting)

    def _drop_unwanted(self) -> None:
        """Make room: what is past its deadline need not wait for a thread to find that out."""
        kept: deque[_Job[Out]] = deque()
        for job in self._waiting:
            try:
                job.ticket.check()
            except DeadlineExceeded as error:
                job.settle(_Result(None, error))
            else:
                kept.append(job)
        self._waiting = kept

    def _withdraw(self, job: _Job[Out]) -> None:
        job.ticket.withdraw()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            del job

    def _next(self) -> _Job[Out] | None:
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            return self._waiting.popleft()
