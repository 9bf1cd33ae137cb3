"""Which upstream a call goes to, and what its end says of that upstream. Sans-I/O.

Upstreams lie in groups by preference; within a group whoever has the fewest calls in flight is
asked. Left out are those that fail (as a whole: unreachable or silent; or one model at them), and
those that were never as quick as the caller needs. A second call goes to another upstream, and is
paid for from a budget.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from hawkvision.serving.upstreams.ejection import EjectionSettings
from hawkvision.serving.upstreams.endpoint import Endpoint, Model, ModelState
from hawkvision.serving.upstreams.groups import Groups
from hawkvision.serving.upstreams.hedging import Hedging
from hawkvision.serving.upstreams.latency import LatencySettings
from hawkvision.serving.upstreams.retry_budget import BudgetSettings, RetryBudget

_LACKS_S = 5.0
"""So long whoever lacks a version is asked for it only where nobody has it."""

_MOST_REST_S = 1.0
_MOST_EVENTS = 64


class Unavailable(Enum):
    """Why no upstream is asked: all are left out, none is quick enough, or no budget is left."""

    LEFT_OUT = "left_out"
    TOO_SLOW = "too_slow"
    NO_BUDGET = "no_budget"


class Fault(Enum):
    """What an upstream did: not there, silent for so long, or an answer that is none."""

    UNREACHABLE = "unreachable"
    LATE = "late"
    BROKEN = "broken"


class Change(Enum):
    """What became of an upstream, or of one model at it."""

    GONE = "gone"
    BACK = "back"
    LACKS = "lacks"
    HAS = "has"


@dataclass(frozen=True, slots=True)
class Event:
    """A change worth telling, once; `model` None is the upstream as a whole."""

    what: Change
    address: str
    model: Model | None
    reason: str = ""


@dataclass(slots=True, eq=False)
class Lease:
    """A call under way. Say once how it ended: `answered`, `failed`, `lacked`, `full`, `spoke` or
    `left`.
    """

    endpoint: Endpoint
    model: Model
    state: ModelState
    begun: float
    patience_s: float
    probe: bool
    model_probe: bool
    ended: bool = False

    @property
    def address(self) -> str:
        """Where it goes."""
        return self.endpoint.address


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """All policies' settings."""

    ejection: EjectionSettings = field(default_factory=EjectionSettings)
    latency: LatencySettings = field(default_factory=LatencySettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    hedging: Hedging = field(default_factory=Hedging)


class Balancer:
    """Over groups of addresses, the preferred first. All times in seconds, of one clock."""

    def __init__(
        self,
        groups: Groups,
        settings: BalancerSettings | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._settings = settings or BalancerSettings()
        self._chance = chance or random.Random()
        self.endpoints: Sequence[Endpoint] = tuple(
            Endpoint(address, place, self._settings.ejection, self._settings.latency)
            for place, group in enumerate(groups)
            for address in group
        )
        self._at = {one.address: one for one in self.endpoints}
        self.budget = RetryBudget(self._settings.budget)
        self._events: list[Event] = []

    # Before a call.

    def begin(self, model: Model, now: float, within_s: float) -> Lease | Unavailable:
        """Where a call goes that is due in `within_s`."""
        self.budget.offered(now)
        usable = self._usable(model, now, ())
        if not usable:
            return Unavailable.LEFT_OUT
        for one in usable:
            if one.of(model).latency.needs_s(now) <= within_s:
                return self._lease(one, model, now)
        first = usable[0]
        if first.of(model).latency.explores(now):
            return self._lease(first, model, now)
        return Unavailable.TOO_SLOW

    def again(
        self, model: Model, now: float, within_s: float, beside: Collection[str]
    ) -> Lease | Unavailable:
        """Where a second call goes: to none of `beside`, nor to one that is spared."""
        usable = self._usable(model, now, beside)
        usable = [one for one in usable if not one.spared(model, now)]
        if not usable:
            return Unavailable.LEFT_OUT
        for one in usable:
            if one.of(model).latency.needs_s(now) <= within_s:
                if not self.budget.take(now):
                    return Unavailable.NO_BUDGET
                return self._lease(one, model, now)
        return Unavailable.TOO_SLOW

    def _usable(self, model: Model, now: float, beside: Collection[str]) -> list[Endpoint]:
        found = [one for one in self.endpoints if one.address not in beside and one.may(model, now)]
        if len(found) > 1:
            found.sort(
                key=lambda one: (
                    one.spared(model, now),
                    one.group,
                    one.in_flight,
                    self._chance.random(),
                )
            )
        return found

    def _lease(self, endpoint: Endpoint, model: Model, now: float) -> Lease:
        state = endpoint.of(model)
        probe = endpoint.ejection.begin()
        model_probe = not probe and state.ejection.begin()
        endpoint.in_flight += 1
        patience_s = self._settings.hedging.patience_s(state.latency, now)
        return Lease(endpoint, model, state, now, patience_s, probe, model_probe)

    # After it.

    def answered(self, lease: Lease, now: float) -> None:
        """As it should be."""
        self._end(lease)
        self._alive(lease, now)
        state = lease.state
        state.latency.answered(now - lease.begun, now)
        if state.ejection.succeeded(now):
            self._tell(Change.BACK, lease)
        state.lacks_until = 0.0
        if state.lacks:
            state.lacks = False
            self._tell(Change.HAS, lease)

    def failed(self, lease: Lease, fault: Fault, reason: str, now: float) -> None:
        """The upstream is at fault; `reason` in words."""
        endpoint, state = lease.endpoint, lease.state
        self._end(lease)
        if fault is Fault.BROKEN:
            self._alive(lease, now)
            alone = self._alone(endpoint, lease.model)
            if state.ejection.failed(now, probe=lease.model_probe, alone=alone):
                self._tell(Change.GONE, lease, reason)
            return
        state.ejection.no_verdict(probe=lease.model_probe)
        if fault is Fault.LATE:
            if not state.latency.late(now - lease.begun, now):
                endpoint.ejection.no_verdict(probe=lease.probe)
                return
            endpoint.late()
            if endpoint.watched and not lease.probe:
                return  # who watches finds out why
        self._leave_out(endpoint, reason, now, probe=lease.probe)

    def lacked(self, lease: Lease, reason: str, now: float) -> None:
        """The upstream does not have the model."""
        self._spoke(lease, now)
        state = lease.state
        state.lacks_until = now + _LACKS_S
        if not state.lacks:
            state.lacks = True
            self._tell(Change.LACKS, lease, reason)

    def full(self, lease: Lease, retry_after_s: float, now: float) -> None:
        """The upstream has no room, and says when to come again (0: it said nothing)."""
        self._spoke(lease, now)
        rests_s = min(max(retry_after_s, 0.0), _MOST_REST_S)
        lease.endpoint.resting_until = max(lease.endpoint.resting_until, now + rests_s)

    def spoke(self, lease: Lease, now: float) -> None:
        """The upstream refused what no other would take either: the caller is at fault."""
        self._spoke(lease, now)

    def left(self, lease: Lease, now: float) -> None:
        """Nobody waits for the answer any more; what was late until now is."""
        waited_s = now - lease.begun
        if waited_s >= lease.state.latency.fair_s:
            self.failed(lease, Fault.LATE, f"no answer within {waited_s:.2g} s", now)
            return
        self._end(lease)
        lease.endpoint.ejection.no_verdict(probe=lease.probe)
        lease.state.ejection.no_verdict(probe=lease.model_probe)

    def _spoke(self, lease: Lease, now: float) -> None:
        self._end(lease)
        self._alive(lease, now)
        lease.state.ejection.no_verdict(probe=lease.model_probe)

    @staticmethod
    def _end(lease: Lease) -> None:
        assert not lease.ended
        lease.ended = True
        lease.endpoint.in_flight -= 1

    def _alive(self, lease: Lease, now: float) -> None:
        if lease.endpoint.alive(now):
            self._tell(Change.BACK, lease.endpoint)

    def _leave_out(self, endpoint: Endpoint, reason: str, now: float, *, probe: bool) -> None:
        if endpoint.ejection.failed(now, probe=probe, alone=self._alone(endpoint)):
            self._gone(endpoint, reason)

    def _gone(self, endpoint: Endpoint, reason: str) -> None:
        endpoint.reason = reason
        endpoint.forget()
        self._tell(Change.GONE, endpoint, reason)

    def _alone(self, endpoint: Endpoint, model: Model | None = None) -> bool:
        others = [one for one in self.endpoints if one is not endpoint]
        if model is None:
            return not any(one.healthy for one in others)
        return not any(one.serves(model) for one in others)

    # What is known of an upstream without a call.

    def watched(self, address: str, *, offered: bool) -> None:
        """Whether an upstream can be asked how it is."""
        endpoint = self._at[address]
        endpoint.watched = offered
        endpoint.silent = endpoint.silent and offered

    def heard(self, address: str, now: float, *, draining: bool = False) -> None:
        """An upstream says that it serves, or that it is about to stop."""
        endpoint = self._at[address]
        endpoint.draining = draining
        endpoint.suspect, endpoint.late_in_a_row = False, 0
        if endpoint.silent:
            endpoint.silent = False
            endpoint.ejection.retry_at(now)

    def doubt(self, address: str) -> None:
        """A connection to an upstream broke: it is spared until it says how it is."""
        endpoint = self._at[address]
        endpoint.suspect = endpoint.healthy

    def silent(self, address: str, reason: str, now: float) -> None:
        """An upstream that fails or is suspected does not say how it is."""
        endpoint = self._at[address]
        endpoint.silent = True
        endpoint.draining = False
        if endpoint.suspect and endpoint.ejection.eject(now, alone=self._alone(endpoint)):
            self._gone(endpoint, reason)
        endpoint.suspect, endpoint.late_in_a_row = False, 0

    @property
    def held_back(self) -> bool:
        """Whether there is a model that no upstream is asked for without reserve."""
        models = {model for one in self.endpoints for model in one.models}
        return not any(one.healthy for one in self.endpoints) or any(
            not any(one.serves(model) for one in self.endpoints) for model in models
        )

    def events(self) -> Sequence[Event]:
        """What changed since this was asked."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    def _tell(self, what: Change, of: Lease | Endpoint, reason: str = "") -> None:
        address, model = of.address, of.model if isinstance(of, Lease) else None
        if len(self._events) < _MOST_EVENTS:
            self._events.append(Event(what, address, model, reason))
