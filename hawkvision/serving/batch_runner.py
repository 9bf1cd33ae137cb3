"""Runs batches on the threads that prepared their images; no thread is woken for a single call.

Whoever has decoded a call's images enters them, and then runs whatever batches are due, its own
call's or others', until none is. A slot that waits for company is looked after by one thread more,
which begins with the first such wait.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.serving.batcher import Batcher
from hawkvision.serving.job import Clock
from hawkvision.serving.waiting import Batch, Limits, Turned, Waiting


def _none() -> int:
    return 0


def _nothing(_images: int, _took_s: float) -> None:
    return


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call's images, ready for the network, and whom to tell; from any thread, once."""

    images: Sequence[Any]
    answered: Callable[[list[Any]], None]
    failed: Callable[[BaseException], None]


class Line:
    """One network's place among others: `run` takes images to as many results.

    `coming` says how many images wait to be prepared for it; it is asked under a lock.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Any]], list[Any]],
        batcher: Batcher[Prepared],
        coming: Callable[[], int],
        ran: Callable[[int, float], None],
    ) -> None:
        self.name = name
        self.run = run
        self.batcher = batcher
        self.coming = coming
        self.ran = ran
        self.sizes: Counter[int] = Counter()


Picked = tuple[Line, Batch[Prepared]]


class BatchRunner:
    """The batches of several networks that share `slots`; usable from any thread."""

    def __init__(self, slots: int, clock: Clock = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._running = 0
        self._watcher: threading.Thread | None = None
        self._wakes_at = -math.inf
        self._closed = False
        self.prepare_s = 0.0
        self._lines: dict[Line, None] = {}

    @property
    def lines(self) -> list[Line]:
        """All networks' places."""
        return list(self._lines)

    def line(
        self,
        name: str,
        run: Callable[[Sequence[Any]], list[Any]],
        limits: Limits,
        coming: Callable[[], int] = _none,
        ran: Callable[[int, float], None] = _nothing,
    ) -> Line:
        """A place for one more network; `ran` hears of images and the time that they took, with
        what it took to prepare them, seconds."""
        made = Line(name, run, Batcher(limits, self._slots), coming, ran)
        self._lines[made] = None
        return made

    def leave(self, lines: Sequence[Line]) -> None:
        """Give up these places, in which nothing waits; from any thread, also under the lock."""
        for line in lines:
            self._lines.pop(line, None)

    @property
    def waiting(self) -> int:
        """Images that wait for a batch."""
        return sum(line.batcher.images for line in self.lines)

    def check(self, line: Line, waiting: Waiting[Prepared]) -> None:
        """Raise DeadlineExceeded or Overloaded if it would be refused, were it ready now."""
        if not line.batcher.images:
            return
        with self._lock:
            line.batcher.check(waiting, self._clock())

    def enter(self, line: Line, waiting: Waiting[Prepared]) -> None:
        """Let it wait for its batch, and run here what is due.

        Raises DeadlineExceeded or Overloaded; then it has not entered.
        """
        with self._lock:
            turned = line.batcher.offer(waiting, self._clock())
            picked = self._pick(turned)
        _tell(turned)
        self._run(picked)

    def took(self, prepare_s: float) -> None:
        """Learn what it takes to prepare one image, seconds."""
        self.prepare_s += (prepare_s - self.prepare_s) / 16

    def _work(self) -> None:
        turned: list[Turned[Prepared]] = []
        with self._lock:
            picked = self._pick(turned)
        _tell(turned)
        self._run(picked)

    def _pick(self, turned: list[Turned[Prepared]]) -> Picked | None:
        """The batch that should run now: of whoever has the next turn, and is due.

        Those that get no answer go to `turned`. Under the lock.
        """
        lines = [line for line in self.lines if line.batcher.images]
        if not lines or self._running >= self._slots:
            return None
        now = self._clock()
        if len(lines) > 1:
            lines.sort(key=lambda line: line.batcher.urgency() or (0, math.inf))
        for line in lines:
            coming = line.coming()
            batch, out = line.batcher.take(now, coming=coming, coming_s=self.prepare_s)
            turned += out
            if batch is not None:
                line.sizes[batch.images] += 1
                self._running += 1
                return line, batch
        if any(line.batcher.images for line in lines):
            self._watch()
        return None

    def _run(self, picked: Picked | None) -> None:
        """Run a batch, and whatever is due then."""
        while picked is not None:
            line, batch = picked
            fault: BaseException | None = None
            found: list[Any] = []
            turned: list[Turned[Prepared]] = []
            start = time.perf_counter()
            try:
                found = _in_parts(
                    line, [image for one in batch.members for image in one.work.images]
                )
            except BaseException as error:
                fault = error
            took_s = time.perf_counter() - start
            with self._lock:
                self._running -= 1
                line.batcher.ended(batch, None if fault else took_s, self._clock())
                picked = self._pick(turned)
            if fault is None:
                line.ran(batch.images, took_s + batch.images * self.prepare_s)
            try:
                _answer(batch, found, fault)
            finally:
                del fault  # or it and this frame would keep each other, and the images
            _tell(turned)

    def _watch(self) -> None:
        """Have somebody run what is waiting for company. Under the lock."""
        if self._watcher is None and not self._closed:
            self._watcher = threading.Thread(target=self._look_after, name="batch", daemon=True)
            self._watcher.start()
        elif self._wakes_at > self._due():
            self._changed.notify()

    def _look_after(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (due := self._due()) > (now := self._clock()):
                    self._wakes_at = due
                    self._changed.wait(None if due == math.inf else due - now)
                self._wakes_at = -math.inf
                if self._closed:
                    return
            self._work()

    def _due(self) -> float:
        """When what waits for company has waited long enough."""
        if self._running >= self._slots:
            return math.inf
        return min((one.batcher.latest() for one in self.lines), default=math.inf)

    def close(self) -> None:
        """Let the thread that looks after waits end."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()


def _in_parts(line: Line, images: list[Any]) -> list[Any]:
    """More than a batch holds run one after another."""
    most = line.batcher.limits.batch
    if len(images) <= most:
        return line.run(images)
    return [one for at in range(0, len(images), most) for one in line.run(images[at : at + most])]


def _answer(batch: Batch[Prepared], found: list[Any], fault: BaseException | None) -> None:
    """To each member its part of what was found."""
    at = 0
    for one in batch.members:
        if fault is None:
            one.work.answered(found[at : at + one.items])
            at += one.items
        else:
            one.work.failed(fault if at == 0 else copy.copy(fault))
            at += one.items


def _tell(turned: Sequence[Turned[Prepared]]) -> None:
    for one in turned:
        one.waiting.work.failed(one.error)
