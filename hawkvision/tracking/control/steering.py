"""The leader's work: read what the fleet counted, move thresholds, publish them.

Evidence is kept by source (see `trust`). Anonymous traffic moves the thresholds of anonymous
requests and no others. An app with a key goes by its own traffic where that is enough, else by
that of all apps with keys, which is calibration's until there is any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hawkvision.cascade import CascadePolicy, parse_accuracy
from hawkvision.errors import InvalidRequest, TargetUnreachable
from hawkvision.tracking.control.harm import EscalationBreaker
from hawkvision.tracking.control.traffic_model import Settings, TrafficModel, steer
from hawkvision.tracking.counts import PROBES, TASK_WIDE, Bins, Pairs, Sums, add_up
from hawkvision.tracking.records import OTHER_TARGET, Counts, ThresholdState
from hawkvision.tracking.trust import ALL_VOUCHED, ANONYMOUS, source_of

FROZEN = "frozen:"
ALL_APPS = "*"
"""In place of an app's name: probes speak for all of them."""

OWN_REQUESTS = 400.0
"""So many requests of the recent past are enough for an app's thresholds to rest on them alone."""

_MOST_TARGETS = 200
"""Steered of each source; the one that was asked for longest ago makes room."""
_MOST_APPS = 512
_MOST_STATES = 4096


def state_name(source: str, target: str) -> str:
    """Under which the threshold of a source's requests at a target is published."""
    return f"{source}/{target}" if source else target


@dataclass
class _Evidence:
    """One source's recent past; `requests` fade as the model does, `fresh` are the last ones."""

    model: TrafficModel
    requests: float = 0.0
    fresh: float = 0.0

    def see(self, sums: Sums, memory: float) -> None:
        self.fresh = self.model.see(Bins.read(sums), memory)
        self.requests = self.requests * max(0.0, 1 - self.fresh / memory) + self.fresh


@dataclass
class TaskSteering:
    """Sans-I/O. Fed with what the fleet counted since the last time, each count once."""

    policy: CascadePolicy
    settings: Settings = field(default_factory=Settings)
    _evidence: dict[str, _Evidence] = field(init=False, default_factory=dict)
    _breakers: dict[str, EscalationBreaker] = field(init=False, default_factory=dict)
    _targets: dict[str, dict[str, None]] = field(init=False, default_factory=dict)

    def update(
        self,
        fresh: Counts,
        current: Mapping[str, ThresholdState],
        *,
        fence: int,
        now: float,
    ) -> list[ThresholdState]:
        """States that differ from those in force, after what is fresh (see `Store.since`)."""
        self._see(fresh)
        for key, sums in fresh.items():
            if key.target in (TASK_WIDE, OTHER_TARGET):
                continue  # of whom the others speak is not known
            self._judge(ALL_APPS if key.target == PROBES else key.app, Pairs.read(sums))
            if key.target != PROBES:
                self._ask(source_of(key.app), key.target)
        states = [
            self._steer(source, target, current, fence=fence, now=now)
            for source, targets in self._targets.items()
            for target in targets
        ]
        for app, breaker in self._breakers.items():
            name = f"{FROZEN}{app}"
            if breaker.open or name in current:
                state = "frozen" if breaker.open else "free"
                states.append(ThresholdState(name, 0.0, state, fence, now))
        changed = [
            state
            for state in states
            if state is not None and _differs(state, current.get(state.target))
        ]
        room = max(0, _MOST_STATES - len(current))
        known = [state for state in changed if state.target in current]
        return known + [state for state in changed if state.target not in current][:room]

    def _see(self, fresh: Counts) -> None:
        """Take in what each source did, and all those with keys together."""
        of: dict[str, list[Sums]] = {}
        for key, sums in fresh.items():
            if key.target == TASK_WIDE:
                of.setdefault(source_of(key.app), []).append(sums)
        with_keys = [sums for source, parts in of.items() if source for sums in parts]
        if with_keys:
            of[ALL_VOUCHED] = with_keys
        for evidence in self._evidence.values():
            evidence.fresh = 0.0
        for source, parts in of.items():
            found = self._evidence.get(source)
            if found is None:
                if len(self._evidence) >= _MOST_APPS and source not in (ANONYMOUS, ALL_VOUCHED):
                    continue  # goes by that of all apps with keys
                found = self._evidence[source] = self._nothing_seen()
            found.see(add_up(parts), self.settings.memory)

    def _nothing_seen(self) -> _Evidence:
        return _Evidence(TrafficModel.from_calibration(self.policy.scores))

    def _judge(self, app: str, pairs: Pairs) -> None:
        """Does escalating hurt this app? Its own labels say so."""
        if pairs.n <= 0:
            return
        breaker = self._breakers.pop(app, None)
        if breaker is None and len(self._breakers) >= _MOST_APPS:
            idle = (name for name, one in self._breakers.items() if not one.open)
            self._breakers.pop(next(idle, next(iter(self._breakers))))
        known = breaker or EscalationBreaker()
        self._breakers[app] = known.see(pairs.edge_better, pairs.dc_better, pairs.n)

    def _ask(self, source: str, target: str) -> None:
        """A source asked for a target, which is steered from now on."""
        if source not in self._targets and len(self._targets) > _MOST_APPS:
            return
        targets = self._targets.setdefault(source, {})
        targets.pop(target, None)
        targets[target] = None
        if len(targets) > _MOST_TARGETS:
            del targets[next(iter(targets))]

    def _evidence_of(self, source: str) -> _Evidence:
        own = self._evidence.get(source)
        if source == ANONYMOUS or (own is not None and own.requests >= OWN_REQUESTS):
            which = source
        else:
            which = ALL_VOUCHED
        if which not in self._evidence:
            self._evidence[which] = self._nothing_seen()
        return self._evidence[which]

    def _steer(
        self,
        source: str,
        target: str,
        current: Mapping[str, ThresholdState],
        *,
        fence: int,
        now: float,
    ) -> ThresholdState | None:
        try:
            accuracy = parse_accuracy(target)
            floor = self.policy.resolve(accuracy).threshold
        except (InvalidRequest, TargetUnreachable):
            return None
        name, evidence = state_name(source, target), self._evidence_of(source)
        if not evidence.fresh and name in current:
            return None
        before = current.get(name)
        steered = steer(
            evidence.model,
            accuracy,
            floor=floor,
            current=floor if before is None else before.threshold,
            requests=evidence.fresh,
            settings=self.settings,
        )
        return ThresholdState(name, steered.threshold, steered.state, fence, now)


def _differs(state: ThresholdState, before: ThresholdState | None) -> bool:
    if before is None:
        return True
    return abs(state.threshold - before.threshold) > 1e-9 or state.state != before.state
