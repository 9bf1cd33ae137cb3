"""Who may wait: a queue is bounded by the time that it takes, and not only by its length.

Work that would come too late is refused at once, while its sender can still do something else.
"""

from __future__ import annotations

import math

from hawkvision.errors import Overloaded
from hawkvision.serving.lateness import Lateness

_LEARN = 1 / 32
"""Weight of one job in the moving mean of service times."""

_MARGIN = 0.9
"""Of the time allowed: the mean is not every job, and late work is wasted work."""

_LEAST_RETRY_S = 1
_MOST_RETRY_S = 60


class Admission:
    """Sans-I/O: counts items, learns what one takes, and knows how long the next would wait.

    At most `max_queue` items wait for `threads`, besides those for which a thread is idle. `away`
    are items that left a thread unfinished, for a batch, which a thread has to run yet.
    """

    def __init__(self, threads: int, max_queue: int) -> None:
        self._threads = threads
        self._max_queue = max_queue
        self._service_s: float | None = None
        self._running = 0
        self._at_work = 0
        self.waiting = 0
        self.away = 0
        self.lateness = Lateness()

    @property
    def pending(self) -> int:
        """Items that wait or are worked on."""
        return self.waiting + self._at_work

    @property
    def idle(self) -> bool:
        """Whether a thread would take the next job at once."""
        return self.waiting == 0 and self._running < self._threads

    @property
    def service_s(self) -> float:
        """What one item takes on one thread, seconds; 0 before the first one is done."""
        return self._service_s or 0.0

    @property
    def each_s(self) -> float:
        """One item after the other, what each takes on all threads together, seconds."""
        return self.service_s / self._threads

    @property
    def rest_s(self) -> float:
        """When those at work make way for the next, seconds from now: they are half done."""
        return (self.away + self._at_work / 2) * self.each_s

    def slack_s(self, allowed_s: float) -> float:
        """Of the time allowed, what no estimate may use, seconds."""
        if allowed_s == math.inf:
            return 0.0
        return (1 - _MARGIN) * allowed_s + self.lateness.margin_s(allowed_s)

    @property
    def wait_s(self) -> float:
        """How long the next job would wait for a thread, seconds: those at work are half done."""
        return self._wait_s(self.waiting, self._threads)

    def _wait_s(self, ahead: int, threads: int) -> float:
        if self._running + ahead < threads:
            return 0.0
        return (ahead + self.away + self._at_work / 2) * self.service_s / threads

    def fits(self, items: int) -> bool:
        """Whether there is room for so many more."""
        idle = max(0, self._threads - self._running)
        return self.waiting + items <= self._max_queue + idle

    def check(
        self,
        items: int = 1,
        patience_s: float = math.inf,
        ahead: int | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """Raise Overloaded unless `items` more fit and would be done within `patience_s`.

        `ahead` of those that wait have their turn before (None: all); `alone`: of one thread.
        Whoever finds a thread idle is never refused: the estimate may be wrong, the thread is not.
        """
        if not self.fits(items):
            raise Overloaded(
                f"{self.waiting} images wait, {self._max_queue} fit",
                retry_after_s=whole_seconds(self.wait_s),
                hint="Retry after the time in Retry-After, or send fewer images at once.",
            )
        if self.idle:
            return
        threads = 1 if alone else self._threads
        wait_s = self._wait_s(self.waiting if ahead is None else ahead, threads)
        took = wait_s + items * self.service_s
        most = patience_s - self.slack_s(patience_s)
        if took > most:
            raise Overloaded(
                f"the answer would take {took:.2g} s, longer than its deadline allows",
                retry_after_s=whole_seconds(took - max(0.0, most)),
                hint="Retry after the time in Retry-After, or allow more time.",
            )

    def entered(self, items: int) -> None:
        """A job of so many items was queued."""
        self.waiting += items

    def started(self, items: int) -> None:
        """A thread took it."""
        self.waiting -= items
        self._at_work += items
        self._running += 1

    def ended(self, items: int, busy_s: float | None) -> None:
        """Its thread is done, after `busy_s` of work (None: that says nothing of such work)."""
        self._at_work -= items
        self._running -= 1
        if busy_s is not None:
            self._learn(busy_s / items, _LEARN)

    def batch_ended(self, items: int, busy_s: float) -> None:
        """A thread has prepared so many and run them together, in so long altogether."""
        self._learn(busy_s / items, 1 - (1 - _LEARN) ** items)

    def _learn(self, each_s: float, weight: float) -> None:
        before_s = each_s if self._service_s is None else self._service_s
        self._service_s = before_s + weight * (each_s - before_s)

    def withdrawn(self, items: int) -> None:
        """It left the queue before any thread took it."""
        self.waiting -= items


def whole_seconds(seconds: float) -> int:
    """When to try again, if nobody else comes, as Retry-After wants it (RFC 9110, 10.2.3)."""
    return min(max(_LEAST_RETRY_S, math.ceil(seconds)), _MOST_RETRY_S)
