"""Who is served next, and with which variant: a state machine to which the time is passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.errors import HawkVisionError, Overloaded
from loadtest.baselines.choice import choose, make_way
from loadtest.baselines.ladder import Variant

_SLACK = 2.0
"""Before a load, requests go first that need none, as long as so many loads would still fit."""


@dataclass(eq=False, slots=True)
class Asked:
    """One request; `deadline` is a time, `work` whatever the caller needs to answer it."""

    target: float
    deadline: float
    work: Any = None


@dataclass(frozen=True, slots=True)
class Run:
    """Answer a request with a resident variant, then call `ran`."""

    asked: Asked
    variant: Variant


@dataclass(frozen=True, slots=True)
class Load:
    """Free `evicted`, load `variant`, then call `loaded`, or `failed`."""

    variant: Variant
    evicted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell a request why nothing answers it: its variant does not load."""

    asked: Asked
    why: HawkVisionError


class Scheduler:
    """Earliest deadline first; requests that need no load go before a load while they may.

    `threads` take turns at `next`. Not thread-safe: whoever has several threads locks around it.
    """

    def __init__(self, variants: Sequence[Variant], budget_mb: float, threads: int) -> None:
        self._variants = [one for one in variants if one.memory_mb <= budget_mb]
        if not self._variants:
            raise ValueError(f"no variant fits {budget_mb:g} MB")
        self._budget_mb = budget_mb
        self._threads = threads
        self._waiting: list[Asked] = []
        self._resident: dict[str, Variant] = {}
        self._loading: set[str] = set()
        self._broken: dict[str, HawkVisionError] = {}
        self._running: Counter[str] = Counter()
        self._last_used: dict[str, float] = {}
        self.loads = 0
        self.evictions = 0
        self.load_s = 0.0

    @property
    def resident(self) -> tuple[str, ...]:
        """Variants that are loaded."""
        return tuple(self._resident)

    @property
    def waiting(self) -> int:
        """Requests that nobody has begun."""
        return len(self._waiting)

    def offer(self, asked: Asked, now: float) -> None:
        """Queue a request. Raises Overloaded where it would be answered too late."""
        wait_s = self.wait_s()
        if self._waiting and now + wait_s > asked.deadline:
            raise Overloaded("the queue is longer than the deadline", hint="Retry later.")
        self._waiting.append(asked)
        self._waiting.sort(key=lambda one: one.deadline)

    def wait_s(self) -> float:
        """How long the queue takes with what is resident, seconds."""
        total = sum(
            choose(self._variants, one.target, self._resident).milliseconds for one in self._waiting
        )
        return total / 1e3 / self._threads

    def expired(self, now: float) -> list[Asked]:
        """Requests whose deadline has passed; they are not queued any more."""
        late = [one for one in self._waiting if one.deadline <= now]
        if late:
            self._waiting = [one for one in self._waiting if one.deadline > now]
        return late

    def next(self, now: float) -> Run | Load | Refuse | None:
        """What to do now; None where there is nothing, or another thread has to end first."""
        targets = [one.target for one in self._waiting]
        there = {*self._resident} | self._loading
        first: Load | None = None
        for place, asked in enumerate(self._waiting):
            others = targets[:place] + targets[place + 1 :]
            variant = choose(self._variants, asked.target, there, others)
            if variant.name in self._resident:
                return self._run(asked, variant, now)
            if variant.name in self._broken:
                self._waiting.remove(asked)
                return Refuse(asked, self._broken[variant.name])
            if variant.name in self._loading or first is not None or self._loading:
                continue
            pinned = {name for name, count in self._running.items() if count}
            evicted = make_way(variant, self._resident, self._last_used, pinned, self._budget_mb)
            if evicted is None:
                continue
            first = Load(variant, tuple(evicted))
            slack_s = (
                asked.deadline
                - now
                - (_SLACK * variant.load_milliseconds + variant.milliseconds) / 1e3
            )
            if slack_s <= 0:
                break
        return None if first is None else self._begin(first)

    def _run(self, asked: Asked, variant: Variant, now: float) -> Run:
        self._waiting.remove(asked)
        self._running[variant.name] += 1
        self._last_used[variant.name] = now
        return Run(asked, variant)

    def _begin(self, load: Load) -> Load:
        for name in load.evicted:
            del self._resident[name]
        self.evictions += len(load.evicted)
        self._loading.add(load.variant.name)
        return load

    def loaded(self, load: Load, now: float, took_s: float) -> None:
        """The variant is there."""
        self._loading.discard(load.variant.name)
        self._resident[load.variant.name] = load.variant
        self._last_used[load.variant.name] = now
        self.loads += 1
        self.load_s += took_s

    def failed(self, load: Load, why: HawkVisionError) -> None:
        """The variant does not load, and is not tried again: whoever would use it is refused."""
        self._loading.discard(load.variant.name)
        self._broken[load.variant.name] = why

    def ran(self, run: Run) -> None:
        """The request is answered, or failed."""
        self._running[run.variant.name] -= 1
