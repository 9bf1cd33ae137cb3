"""One piece of work on its way through the pool, and the ticket that it may ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from hawkvision.errors import DeadlineExceeded
from hawkvision.serving.pace import Pace

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

    def weigh(self, pixels: int) -> None:
        """To be called before so many pixels are decoded, full size; they add up.

        It may raise what ends the work here and begins it again on another thread: nothing else
        may be done with that.
        """
        ...


class _TooLarge(BaseException):
    """For another thread than this one. Not an Exception: no work may take it for a fault."""


class Job:
    """Implements `Ticket`.

    A job that found a thread idle is wanted `until` for ever: being late, it costs nobody's turn.
    """

    __slots__ = (
        "_most",
        "clock",
        "deadline",
        "fault",
        "future",
        "item",
        "items",
        "pace",
        "result",
        "spent_s",
        "until",
        "weight",
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
        pace: Pace | None = None,
    ) -> None:
        self.work = work
        self.item = item
        self.items = items
        self.deadline = deadline
        self.until = deadline
        self.clock = clock
        self.future = future
        self.pace = pace
        self.result: Any = None
        self.fault: BaseException | None = None
        self.spent_s: float | None = None
        self.weight = 0
        self._most = 0.0

    @property
    def wanted(self) -> bool:
        """See `Ticket.wanted`."""
        return not self.future.cancelled() and self.clock() < self.until

    def check(self) -> None:
        """See `Ticket.check`."""
        if not self.wanted:
            raise DeadlineExceeded(
                "the deadline passed before the answer was ready",
                hint="Allow more time, or send fewer images at once.",
            )

    def weigh(self, pixels: int) -> None:
        """See `Ticket.weigh`."""
        self.weight += pixels
        if self.weight > self._most:
            raise _TooLarge

    def run(self, most: float) -> bool:
        """Do the work in this thread, unless nobody wants it; False if it weighs over `most`."""
        self.weight, self._most = 0, most
        try:
            self.check()
            start = time.perf_counter()
            try:
                self.result = self.work(self.item, self)
            finally:
                self.spent_s = time.perf_counter() - start
        except _TooLarge:
            return False
        except BaseException as error:
            self.fault = error
        return True

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
