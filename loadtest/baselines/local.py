"""Threads that answer with variants of a ladder: switching, all resident, one, all at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hawkvision.errors import DeadlineExceeded, EngineError, HawkVisionError
from hawkvision.images import DEFAULT_LIMITS
from hawkvision.rungs import LoadedRung
from loadtest.baselines.ladder import Ladder, Variant
from loadtest.baselines.schedule import Asked, Load, Refuse, Run, Scheduler

_IDLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Said:
    """A prediction of the task's kind, who gave it (`edge` or `dc`), and times in ms."""

    prediction: Any
    by: str
    decode_ms: float
    infer_ms: float
    degraded: str | None = None


class Answerer(Protocol):
    """Whatever a baseline's server asks."""

    async def answer(self, image: bytes, target: float, deadline: float) -> Said:
        """By a deadline (`time.monotonic`). Raises HawkVisionError."""
        ...

    def stats(self) -> dict[str, Any]:
        """Loads, evictions, seconds of loading, what is resident."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


def predict(rung: LoadedRung, image: bytes) -> Said:
    """Decode and answer here and now. Raises the image errors and EngineError."""
    start = time.perf_counter()
    pixels = rung.prepare(image, DEFAULT_LIMITS)
    decoded = time.perf_counter()
    prediction = rung.predict([pixels])[0]
    done = time.perf_counter()
    return Said(prediction, "edge", (decoded - start) * 1e3, (done - decoded) * 1e3)


class Switching:
    """Variants under a memory budget, loaded and evicted; everything resident if it is infinite."""

    def __init__(self, ladder: Ladder, budget_mb: float, threads: int) -> None:
        self._ladder = ladder
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(ladder.variants, budget_mb, threads)
        self._loaded: dict[str, LoadedRung] = {}
        self._turn = threading.Condition()
        self._open = True
        if budget_mb == float("inf"):
            self._load_all()
        self._threads = [
            threading.Thread(target=self._serve, name=f"serve-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _load_all(self) -> None:
        for variant in self._ladder.variants:
            start = time.perf_counter()
            self._loaded[variant.name] = self.open(self._ladder, variant)
            took_s = time.perf_counter() - start
            self._scheduler.loaded(Load(variant, ()), time.monotonic(), took_s)

    def open(self, ladder: Ladder, variant: Variant) -> LoadedRung:
        """Load a variant. Raises EngineError."""
        return variant.open(ladder.kind)

    async def answer(self, image: bytes, target: float, deadline: float) -> Said:
        """See Answerer."""
        future: asyncio.Future[Said] = self._loop.create_future()
        with self._turn:
            self._scheduler.offer(Asked(target, deadline, (image, future)), time.monotonic())
            self._turn.notify()
        return await future

    def stats(self) -> dict[str, Any]:
        """See Answerer."""
        with self._turn:
            found = self._scheduler
            return {
                "loads": found.loads,
                "evictions": found.evictions,
                "load_s": found.load_s,
                "resident": list(found.resident),
            }

    async def close(self) -> None:
        """See Answerer."""
        with self._turn:
            self._open = False
            self._turn.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _serve(self) -> None:
        while True:
            with self._turn:
                step = self._next()
            if step is None:
                return
            if isinstance(step, Load):
                self._load(step)
            elif isinstance(step, Refuse):
                self._tell(step.asked, step.why)
            else:
                self._run(step)

    def _next(self) -> Run | Load | Refuse | None:
        """The next thing to do, when there is one; None at the end. Under the lock."""
        while self._open:
            now = time.monotonic()
            for late in self._scheduler.expired(now):
                self._tell(late, DeadlineExceeded("not begun in time", hint="Retry later."))
            step = self._scheduler.next(now)
            if step is not None:
                return step
            self._turn.wait(_IDLE_S if self._scheduler.waiting else None)
        return None

    def _load(self, load: Load) -> None:
        start = time.perf_counter()
        with self._turn:
            gone = [self._loaded.pop(name) for name in load.evicted]
        for rung in gone:
            rung.close()
        del gone
        try:
            opened = self.open(self._ladder, load.variant)
        except Exception as error:  # whatever a file may do to an engine: the thread goes on
            said = str(error) or type(error).__name__
            why = EngineError(f"variant {load.variant.name} does not load: {said}")
            with self._turn:
                self._scheduler.failed(load, why)
                self._turn.notify_all()
            return
        with self._turn:
            self._loaded[load.variant.name] = opened
            took_s = time.perf_counter() - start
            self._scheduler.loaded(load, time.monotonic(), took_s)
            self._turn.notify_all()

    def _run(self, run: Run) -> None:
        image, _ = run.asked.work
        result: Said | HawkVisionError
        try:
            result = predict(self._loaded[run.variant.name], image)
        except HawkVisionError as error:
            result = error
        with self._turn:
            self._scheduler.ran(run)
            self._turn.notify()
        self._tell(run.asked, result)

    def _tell(self, asked: Asked, result: Said | HawkVisionError) -> None:
        _, future = asked.work
        self._loop.call_soon_threadsafe(_settle, future, result)


def _settle(future: asyncio.Future[Said], result: Said | HawkVisionError) -> None:
    if future.done():
        return
    if isinstance(result, HawkVisionError):
        future.set_exception(result)
    else:
        future.set_result(result)


class Ensemble(Switching):
    """Every variant answers every request, and their probabilities are averaged."""

    def __init__(self, ladder: Ladder, threads: int) -> None:
        super().__init__(ladder, float("inf"), threads)

    def _run(self, run: Run) -> None:
        image, _ = run.asked.work
        result: Said | HawkVisionError
        try:
            result = self._averaged(image)
        except HawkVisionError as error:
            result = error
        with self._turn:
            self._scheduler.ran(run)
        self._tell(run.asked, result)

    def _averaged(self, image: bytes) -> Said:
        said = [predict(rung, image) for rung in self._loaded.values()]
        kind = self._ladder.kind
        rows = [kind.encode([one.prediction]) for one in said]
        name = next(iter(rows[0]))
        mean = np.mean([row[name] for row in rows], axis=0)
        return Said(
            kind.decode({name: mean})[0],
            "edge",
            sum(one.decode_ms for one in said),
            sum(one.infer_ms for one in said),
        )


def names(variants: Sequence[Any]) -> str:
    """For one line of text."""
    return ", ".join(one.name for one in variants)
