"""Dynamic batches across calls of one model. Sans-I/O: times are seconds of any one clock.

What waits is put together when a slot is free. A batch takes no more members than its most urgent
one allows, by what batches were measured to cost. A call that could not be answered by its
deadline, or would make one late that was let in before, is refused when it comes. Whoever comes
while nothing runs or waits is tried, whatever is believed of costs: a belief that lets nobody in
would never be corrected.

A free slot may wait for company. With n images ready, the next one t seconds away and a batch of n
costing a + b·n, waiting makes n images later by t + b, while the newcomer, who would else come
upon a slot that is at work and then pay a alone, saves a - b·n - t: it pays where
a > b·n + (n + 1)·t. Where q images are known to come, a saved set-up is saved for all of them,
and it pays where a·q > n·(t + b). Nobody waits longer than a / n in all, so that a wait in vain
costs no more than the set-up that it was to save. Where batches pay nothing, a is 0: no wait.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.admission import whole_seconds
from hawkvision.serving.batch_cost import BatchCost
from hawkvision.serving.claims import Priority
from hawkvision.serving.fair_queue import FairQueue
from hawkvision.serving.waiting import Batch, Limits, Turned, Waiting

T = TypeVar("T")

_LEARN = 1 / 16
"""Weight of one arrival in the moving mean of the time between two images."""


_LONGEST_GAP_S = 0.1
"""Longer ones count as so long: no set-up is worth waiting for them."""


def made_way(retry_after_s: int) -> Overloaded:
    """What one is told that waited where somebody of higher priority came."""
    return Overloaded(
        "made way for calls of a higher priority",
        retry_after_s=retry_after_s,
        hint="Retry after the time in retry-after.",
    )


def too_late() -> DeadlineExceeded:
    """What one is told whose time is over."""
    return DeadlineExceeded(
        "the deadline passed before the answer was ready",
        hint="Allow more time, or send fewer images at once.",
    )


class Batcher(Generic[T]):
    """One model's: `offer` what is ready, `take` a batch, say when it `ended`.

    At most `slots` batches run at a time.
    """

    def __init__(self, limits: Limits, slots: int = 1, cost: BatchCost | None = None) -> None:
        self.limits = limits
        self.cost = cost or BatchCost()
        self._slots = slots
        self._queue: FairQueue[Waiting[T]] = FairQueue()
        self._running: list[Batch[T]] = []
        self._ready_since = 0.0
        self._came: float | None = None
        self._gap_s = _LONGEST_GAP_S
        self.images = 0
        self.size = 0
        self.delay_s = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self.images

    @property
    def free(self) -> bool:
        """Whether another batch may run."""
        return len(self._running) < self._slots

    def urgency(self) -> tuple[Priority, float] | None:
        """Of whoever is next: priority and deadline; None if nothing waits."""
        if not self.images:
            return None
        head = self._queue.peek()
        return head.claim.priority, head.deadline

    def offer(self, waiting: Waiting[T], now: float) -> list[Turned[T]]:
        """Let it wait; those of lower priority that made room for it.

        Raises DeadlineExceeded for what could not be in time even alone, and Overloaded.
        """
        self.check(waiting, now)
        turned = self._make_room(waiting)
        self._arrived(waiting.items, now)
        if not self.images:
            self._ready_since = now
        self._queue.append(waiting)
        self.images += waiting.items
        self.size += waiting.size
        return turned

    def _arrived(self, images: int, now: float) -> None:
        if self._came is not None:
            gap = min(now - self._came, _LONGEST_GAP_S) / images
            self._gap_s += _LEARN * (gap - self._gap_s)
        self._came = now

    def check(self, waiting: Waiting[T], now: float) -> None:
        """Raise what `offer` would raise, if those of lower priority made way."""
        alone_s = 0.0 if self.idle else self.cost.safe_s(waiting.items)
        if now >= waiting.deadline or now + alone_s > waiting.deadline:
            raise DeadlineExceeded(
                "no answer could be ready by the deadline", hint="Allow more time."
            )
        if self.idle:
            return
        mine = waiting.claim.priority
        equal = [one for one in self._queue if one.claim.priority <= mine]
        self._check_fits(waiting, equal)
        self._check_in_time(waiting, equal, now)

    def _check_fits(self, waiting: Waiting[T], equal: list[Waiting[T]]) -> None:
        images, size = sum(one.items for one in equal), sum(one.size for one in equal)
        full = images + waiting.items > self.limits.images or size + waiting.size > self.limits.size
        if equal and full:
            raise Overloaded(
                f"{images} images wait for a batch, {self.limits.images} fit",
                retry_after_s=whole_seconds(self._work_s(images)),
                hint="Retry after the time in retry-after, or send fewer images at once.",
            )

    def _check_in_time(self, waiting: Waiting[T], equal: list[Waiting[T]], now: float) -> None:
        """Neither it nor any that was let in before may come late for it."""
        free_at = self._free_at(now)
        whole_s = self._work_s(sum(one.items for one in equal) + waiting.items)
        order = [*equal, waiting]
        if free_at + whole_s <= min(one.deadline for one in order):
            return
        ahead, passed = 0, False
        order.sort(key=lambda one: (one.claim.priority, one.deadline, one is waiting))
        for one in order:
            before = ahead if one is not waiting else ahead + one.items
            ahead += one.items
            passed = passed or one is waiting
            if not passed:
                continue
            late_s = free_at + self._work_s(ahead) - one.deadline
            if late_s <= 0:
                continue
            if one is waiting or free_at + self._work_s(before + one.items - waiting.items) <= (
                one.deadline
            ):
                raise Overloaded(
                    f"{self.images} images wait for a batch; an answer would be late by "
                    f"{late_s:.2g} s",
                    retry_after_s=whole_seconds(late_s),
                    hint="Retry after the time in retry-after, or allow more time.",
                )

    def _free_at(self, now: float) -> float:
        """When the next slot is free, as far as is known."""
        if self.free:
            return now
        return max(now, min(one.began + self.cost.safe_s(one.images) for one in self._running))

    def _work_s(self, images: int) -> float:
        """What so many images take, in batches on all slots."""
        whole, rest = divmod(images, self.limits.batch)
        batches = [self.cost.safe_s(self.limits.batch)] * whole
        if rest:
            batches.append(self.cost.safe_s(rest))
        most = max(batches, default=0.0)
        return max(most, sum(batches) / self._slots)

    def _make_room(self, waiting: Waiting[T]) -> list[Turned[T]]:
        """Take out those of lower priority, as many as it takes to let this one in."""
        turned = []
        while self.images and (
            self.images + waiting.items > self.limits.images
            or self.size + waiting.size > self.limits.size
        ):
            last = max(self._queue, key=lambda one: (one.claim.priority, one.deadline))
            self._remove(last)
            after_s = whole_seconds(self._work_s(self.images))
            turned.append(Turned(last, made_way(after_s)))
        return turned

    def _remove(self, waiting: Waiting[T]) -> None:
        if self._queue.peek() is waiting:
            self._queue.popleft()
        else:
            self._queue.remove(waiting)
        self.images -= waiting.items
        self.size -= waiting.size

    def take(
        self, now: float, *, coming: int = 0, coming_s: float = 0.0
    ) -> tuple[Batch[T] | None, list[Turned[T]]]:
        """A batch that runs from now on, if one should; and those that are not answered.

        `coming` images are on their way for certain, the next one `coming_s` from now.
        """
        turned = self._turn_out(now)
        if not self.images or not self.free or now < self.due(now, coming, coming_s):
            return None, turned
        trial = not self._running and len(self._queue) == 1
        self.delay_s = max(0.0, now - self._ready_since)
        members = self._choose(now)
        self._ready_since = now
        batch = Batch(tuple(members), sum(one.items for one in members), now, trial)
        self._running.append(batch)
        return batch, turned

    def _turn_out(self, now: float) -> list[Turned[T]]:
        """Those that nobody waits for, or that cannot be in time any more."""
        turned: list[Turned[T]] = []
        only = len(self._queue) == 1 and not self._running
        for one in list(self._queue):
            late = one.deadline <= now or (
                self.free and not only and now + self.cost.safe_s(one.items) > one.deadline
            )
            if late or not one.wanted():
                self._remove(one)
                turned.append(Turned(one, too_late()))
        return turned

    def _choose(self, now: float) -> list[Waiting[T]]:
        """Who runs together: the most urgent if they cannot wait another batch, then by turn."""
        members: list[Waiting[T]] = []
        images, due = 0, math.inf
        one = self._most_urgent(now) or self._queue.peek()
        while True:
            images, due = images + one.items, min(due, one.deadline)
            if members and (images > self.limits.batch or now + self.cost.safe_s(images) > due):
                return members
            members.append(one)
            self._remove(one)
            if not self.images:
                return members
            one = self._queue.peek()

    def _most_urgent(self, now: float) -> Waiting[T] | None:
        """Of those whose turn might be: the first due that the next batch would be too late for."""
        if len(self._queue) == 1 or self.images <= self.limits.batch:
            return None
        priority = self._queue.peek().claim.priority
        batch_s = self.cost.safe_s(self.limits.batch)
        tight = [
            one
            for one in self._queue
            if one.claim.priority is priority
            and now + batch_s + self.cost.safe_s(one.items) > one.deadline
        ]
        return min(tight, key=lambda one: one.deadline, default=None)

    def due(self, now: float, coming: int = 0, coming_s: float = 0.0) -> float:
        """When what waits should run if nobody else comes; infinite where nothing can."""
        if not self.images or not self.free:
            return math.inf
        if self.images >= self.limits.batch:
            return now
        if not self._pays(now, coming, coming_s):
            return now
        return self.latest()

    def latest(self) -> float:
        """How long what waits may wait for company at all; infinite if nothing waits."""
        if not self.images:
            return math.inf
        tightest = min(one.deadline for one in self._queue)
        spare_s = self.cost.safe_s(self.images + 1) + self.cost.each_s
        end = self._ready_since + self.cost.setup_s / self.images
        return min(end, tightest - spare_s)

    def _pays(self, now: float, coming: int, coming_s: float) -> bool:
        n, a, b = self.images, self.cost.setup_s, self.cost.each_s
        if a <= 0.0:
            return False
        if coming and a * coming > n * (coming_s + b):
            return True
        if len(self._running) + 1 < self._slots or self._came is None:
            return False  # whoever comes finds another slot
        gap = max(self._gap_s, now - self._came)
        return a > b * n + (n + 1) * gap

    def ended(self, batch: Batch[T], took_s: float | None, now: float) -> None:
        """It ran for so long (None: it failed)."""
        if not self.free:
            self._ready_since = now
        self._running = [one for one in self._running if one is not batch]
        if took_s is not None:
            self.cost.add(batch.images, took_s)
