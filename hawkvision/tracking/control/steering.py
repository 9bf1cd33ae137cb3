"""The leader's work: read what the fleet counted, move thresholds, publish them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hawkvision.cascade import CascadePolicy, parse_accuracy
from hawkvision.errors import InvalidRequest, TargetUnreachable
from hawkvision.tracking.control.harm import EscalationBreaker
from hawkvision.tracking.control.traffic_model import Settings, TrafficModel, steer
from hawkvision.tracking.counts import PROBES, TASK_WIDE, Bins, Pairs
from hawkvision.tracking.records import OTHER_TARGET, Counts, ThresholdState

FROZEN = "frozen:"
ALL_APPS = "*"
"""In place of an app's name: probes speak for all of them."""

_MOST_TARGETS = 200


@dataclass
class TaskSteering:
    """Sans-I/O. Fed with what the fleet counted since the last time, each count once."""

    policy: CascadePolicy
    settings: Settings = field(default_factory=Settings)
    model: TrafficModel = field(init=False)
    _breakers: dict[str, EscalationBreaker] = field(default_factory=dict)
    _targets: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = TrafficModel.from_calibration(self.policy.scores)

    def update(
        self,
        fresh: Counts,
        current: Mapping[str, ThresholdState],
        *,
        fence: int,
        now: float,
    ) -> list[ThresholdState]:
        """States that differ from those in force, after what is fresh (see `Store.since`)."""
        requests = 0.0
        for key, sums in fresh.items():
            if key.target == TASK_WIDE:
                requests = self.model.see(Bins.read(sums), self.settings.memory)
                continue
            if key.target == OTHER_TARGET:
                continue  # of whom it speaks is not known
            pairs = Pairs.read(sums)
            app = ALL_APPS if key.target == PROBES else key.app
            breaker = self._breakers.get(app, EscalationBreaker())
            self._breakers[app] = breaker.see(pairs.edge_better, pairs.dc_better, pairs.n)
            if key.target != PROBES and len(self._targets) < _MOST_TARGETS:
                self._targets[key.target] = None
        states = [
            self._steer(target, current, requests, fence=fence, now=now) for target in self._targets
        ]
        for app, breaker in self._breakers.items():
            name = f"{FROZEN}{app}"
            if breaker.open or name in current:
                state = "frozen" if breaker.open else "free"
                states.append(ThresholdState(name, 0.0, state, fence, now))
        return [
            state
            for state in states
            if state is not None and _differs(state, current.get(state.target))
        ]

    def _steer(
        self,
        target: str,
        current: Mapping[str, ThresholdState],
        requests: float,
        *,
        fence: int,
        now: float,
    ) -> ThresholdState | None:
        try:
            accuracy = parse_accuracy(target)
            floor = self.policy.resolve(accuracy).threshold
        except (InvalidRequest, TargetUnreachable):
            return None
        before = current.get(target)
        steered = steer(
            self.model,
            accuracy,
            floor=floor,
            current=floor if before is None else before.threshold,
            requests=requests,
            settings=self.settings,
        )
        return ThresholdState(target, steered.threshold, steered.state, fence, now)


def _differs(state: ThresholdState, before: ThresholdState | None) -> bool:
    if before is None:
        return True
    return abs(state.threshold - before.threshold) > 1e-9 or state.state != before.state
