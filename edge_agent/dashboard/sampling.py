"""Reads an agent's counters: the difference to the last look is what a second brought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from edge_agent.dashboard.thresholds import MOST_SERIES, InForce
from edge_agent.dashboard.ticks import Tick, times_of
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics, Totals
from hawkvision.cascade import AccuracyTarget, parse_accuracy
from hawkvision.errors import InvalidRequest, TargetUnreachable
from hawkvision.power import Energy, PowerSampler
from hawkvision.tracking.trust import ANONYMOUS


class Streams(Protocol):
    """Where lossy streams are counted."""

    @property
    def open_streams(self) -> int:
        """How many there are."""
        ...

    def packets(self) -> Mapping[str, int]:
        """Of all of them since the start, by what became of them."""
        ...


class Steered(Protocol):
    """Who knows the thresholds in force."""

    def in_force(self, task: str, target: AccuracyTarget, app: str) -> AccuracyTarget:
        """See `Fleet`."""
        ...


class Sampler:
    """One process's counters. `power` is None where another process tells it."""

    def __init__(
        self,
        metrics: AgentMetrics,
        streams: Streams,
        power: PowerSampler | None,
        tasks: Mapping[str, LocalTask],
        fleet: Steered,
    ) -> None:
        self._metrics = metrics
        self._streams = streams
        self._power = power
        self._tasks = tasks
        self._fleet = fleet
        self._totals = Totals()
        self._arrived, self._lost = 0, 0

    def tick(self) -> Tick:
        """What was counted since the last tick."""
        totals, before = self._metrics.totals(), self._totals
        self._totals = totals
        packets = self._streams.packets()
        arrived, lost = packets.get("accepted", 0), packets.get("lost", 0)
        # What was taken for lost and came late after all is no gain of the next second.
        came, missed = max(0, arrived - self._arrived), max(0, lost - self._lost)
        self._arrived, self._lost = arrived, lost
        watts = self._watts()
        return Tick(
            answers=totals.answers - before.answers,
            escalated=totals.escalated - before.escalated,
            degraded=totals.degraded - before.degraded,
            refused=totals.refused - before.refused,
            packets=came,
            lost=missed,
            joules=watts or 0.0,
            powered_s=0.0 if watts is None else 1.0,
            times=times_of(self._metrics.take_times()),
        )

    def _watts(self) -> float | None:
        if self._power is None:
            return None
        state = self._power.state
        if not isinstance(state.total, Energy) or not state.watts:
            return None
        return sum(state.watts.values())

    def in_force(self) -> list[InForce]:
        """Thresholds of the targets that were asked for last, as requests without an app get."""
        return list(self._in_force())

    def _in_force(self) -> Iterator[InForce]:
        for task, target in self._metrics.asked_last(MOST_SERIES):
            local = self._tasks.get(task)
            if local is None:
                continue
            try:
                certified = local.policy.resolve(parse_accuracy(target))
            except (TargetUnreachable, InvalidRequest):  # of a version that is gone
                continue
            found = self._fleet.in_force(local.counted, certified, ANONYMOUS)
            yield InForce(task, target, found.threshold, certified.threshold)
