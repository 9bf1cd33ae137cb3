"""What is known of one upstream, and of each model at it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from hawkvision.serving.upstreams.ejection import Ejection, EjectionSettings, Health
from hawkvision.serving.upstreams.latency import LatencySettings, LatencyTracker

Model = tuple[str, str]
"""A model's name and version."""

MOST_MODELS = 64
"""Of so many models at an upstream something is remembered; who was asked longest ago is not."""

_SUSPECT_AFTER = 3


@dataclass(slots=True)
class ModelState:
    """One model at one upstream. `lacks` is said of a version that is not there."""

    ejection: Ejection
    latency: LatencyTracker
    lacks: bool = False
    lacks_until: float = 0.0


@dataclass(slots=True)
class Endpoint:
    """One upstream. `group` is its place in the order of preference.

    `watched`: it can be asked how it is; `silent`: it was, and did not answer; `draining`: it said
    that it is about to stop; `suspect`: calls are not answered, and nobody knows yet why.
    """

    address: str
    group: int
    settings: EjectionSettings
    latencies: LatencySettings
    ejection: Ejection = field(init=False)
    models: OrderedDict[Model, ModelState] = field(default_factory=OrderedDict)
    in_flight: int = 0
    resting_until: float = 0.0
    watched: bool = False
    silent: bool = False
    draining: bool = False
    suspect: bool = False
    late_in_a_row: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        self.ejection = Ejection(self.settings)

    @property
    def healthy(self) -> bool:
        """Whether all calls are for it, as far as it alone is concerned."""
        return self.ejection.health is Health.HEALTHY

    def of(self, model: Model) -> ModelState:
        """What is known of a model here."""
        found = self.models.get(model)
        if found is None:
            found = ModelState(Ejection(self.settings), LatencyTracker(self.latencies))
            self.models[model] = found
            if len(self.models) > MOST_MODELS:
                self.models.popitem(last=False)
        else:
            self.models.move_to_end(model)
        return found

    def serves(self, model: Model) -> bool:
        """Whether calls for a model are for it without reserve."""
        if not self.healthy:
            return False
        known = self.models.get(model)
        return known is None or known.ejection.health is Health.HEALTHY

    def may(self, model: Model, now: float) -> bool:
        """Whether a call may begin at `now`."""
        if not self.healthy:
            return not (self.silent and self.watched) and self.ejection.may(now)
        return self.of(model).ejection.may(now)

    def spared(self, model: Model, now: float) -> bool:
        """Whether others are better for a call, if there are any."""
        if self.draining or self.suspect or now < self.resting_until:
            return True
        return now < self.of(model).lacks_until

    def alive(self, now: float) -> bool:
        """It answered something; whether that ended its pause."""
        self.late_in_a_row = 0
        self.suspect = self.silent = False
        if not self.ejection.succeeded(now):
            return False
        self.reason = ""
        self.forget()
        return True

    def forget(self) -> None:
        """How long its calls took: it fails, or came back and may be another one."""
        for one in self.models.values():
            one.latency.forget()

    def late(self) -> None:
        """It did not answer a call that had its time."""
        self.late_in_a_row += 1
        self.suspect = self.suspect or self.late_in_a_row >= _SUSPECT_AFTER
