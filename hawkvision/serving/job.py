"""One piece of work on its way through the pool, and the ticket that it may ask."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from hawkvision.errors import DeadlineExceeded
from hawkvision.serving.claims import ANYBODY, Claim
from hawkvision.serving.lateness import came_late
from hawkvision.serving.pace import Pace

Clock = Callable[[], float]


class _Later:
    """The type of `LATER`."""


LATER = _Later()
"""What work returns that has given its ticket away: the answer comes by the ticket."""


class Ticket(Protocol):
    """Whether a job's answer is still wanted, for the work itself to ask between its steps."""

    @property
    def deadline(self) -> float:
        """When the answer is due, by the pool's clock."""
        ...

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

    def answer(self, result: Any) -> None:
        """The answer of work that returned `LATER`, from any thread; once."""
        ...

    def fail(self, fault: BaseException) -> None:
        """As `answer`: there is none."""
        ...

    def go_on(self, work: Callable[[Any, Ticket], Any], item: Any) -> None:
        """As `answer`: more is to be done on the pool's threads first."""
        ...


class _TooLarge(BaseException):
    """For another thread than this one. Not an Exception: no work may take it for a fault."""


How = Literal["done", "later", "too large"]


class Ran(NamedTuple):
    """What came of a job on a thread; how long it took there (None: it was not begun), and how
    much of that the thread was at work (None: not measured)."""

    how: How
    spent_s: float | None
    busy_s: float | None = None


class Waiter(Protocol):
    """Who gets a job's answer: a future, or what does without one. Of the event loop alone."""

    def done(self) -> bool:
        """Whether nobody waits any more: it is answered, or cancelled."""
        ...

    def cancelled(self) -> bool:
        """Whether it was given up."""
        ...

    def set_result(self, result: Any, /) -> None:
        """The answer; once. It may not raise."""
        ...

    def set_exception(self, fault: BaseException, /) -> None:
        """Why there is none; once. It may not raise."""
        ...


class Office(Protocol):
    """Where jobs go that have left their thread."""

    def hand_over(self, job: Job) -> None:
        """Its answer or fault is there; from any thread."""
        ...

    def queue_again(self, job: Job) -> None:
        """It has more to do on a thread; from any thread."""
        ...


class Job:
    """Implements `Ticket` and `Claimant`.

    A job that found a thread idle is wanted `until` for ever: being late, it costs nobody's turn.
    One that waited had `allowed_s` from its admission on, and is not begun with less than
    `needs_s`.
    """

    __slots__ = (
        "_most",
        "_office",
        "allowed_s",
        "claim",
        "clock",
        "deadline",
        "fault",
        "future",
        "item",
        "items",
        "needs_s",
        "pace",
        "result",
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
        future: Waiter,
        office: Office,
        claim: Claim = ANYBODY,
        pace: Pace | None = None,
    ) -> None:
        self._office = office
        self.claim = claim
        self.pace = pace
        self.work = work
        self.item = item
        self.items = items
        self.deadline = deadline
        self.until = deadline
        self.allowed_s = math.inf
        self.needs_s = 0.0
        self.clock = clock
        self.future = future
        self.result: Any = None
        self.fault: BaseException | None = None
        self.weight = 0
        self._most = 0.0

    @property
    def wanted(self) -> bool:
        """See `Ticket.wanted`."""
        return not self.is_lost(self.clock())

    def is_lost(self, now: float) -> bool:
        """Whether it is not wanted any more at that time, by its clock."""
        return now >= self.until or self.future.cancelled()

    def check(self) -> None:
        """See `Ticket.check`."""
        if not self.wanted:
            raise _passed()

    def weigh(self, pixels: int) -> None:
        """See `Ticket.weigh`."""
        self.weight += pixels
        if self.weight > self._most:
            raise _TooLarge

    def answer(self, result: Any) -> None:
        """See `Ticket.answer`."""
        self.result = result
        self._office.hand_over(self)

    def fail(self, fault: BaseException) -> None:
        """See `Ticket.fail`."""
        self.fault = fault
        self._office.hand_over(self)

    def go_on(self, work: Callable[[Any, Ticket], Any], item: Any) -> None:
        """See `Ticket.go_on`."""
        self.work, self.item = work, item
        self._office.queue_again(self)

    def run(self, most: float) -> Ran:
        """Do the work in this thread, unless nobody wants it, or it weighs over `most`."""
        self.weight, self._most = 0, most
        start: float | None = None
        busy: float | None = None
        how: How = "done"
        try:
            self.check()
            if self.needs_s and self.clock() + self.needs_s > self.until:
                raise _passed()
            start = time.perf_counter()
            if self.pace is not None and self.pace.asks():
                busy = time.thread_time()
            result = self.work(self.item, self)
        except _TooLarge:
            how = "too large"
        except BaseException as error:
            self.fault = error
        else:
            if result is LATER:  # from here on it is another thread's
                how = "later"
            else:
                self.result = result
        if start is None:
            return Ran(how, None)
        spent_s = time.perf_counter() - start
        return Ran(how, spent_s, None if busy is None else time.thread_time() - busy)

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

    @property
    def late(self) -> bool | None:
        """Whether it broke the promise that it was let in with; None where there was none."""
        if self.allowed_s == math.inf:
            return None
        left_s = self.deadline - self.clock()
        if isinstance(self.fault, DeadlineExceeded):
            return True
        return came_late(left_s, self.allowed_s, self.future.cancelled())


def _passed() -> DeadlineExceeded:
    return DeadlineExceeded(
        "the deadline passed before the answer was ready",
        hint="Allow more time, or send fewer images at once.",
    )
