"""Who leads a task sets its thresholds; everybody answers by those in force."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping

from edge_agent.fleet.changes import changes
from hawkvision.cascade import AccuracyTarget, CascadePolicy
from hawkvision.errors import StaleFence
from hawkvision.tracking.control.publishing import Publishing
from hawkvision.tracking.control.steering import ALL_APPS, FROZEN, TaskSteering, state_name
from hawkvision.tracking.counts import counted_target
from hawkvision.tracking.records import ThresholdState
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.trust import is_vouched, source_of

_log = logging.getLogger(__name__)
_LEAD_S = 3.0
_LEVELS = {"alarm": logging.WARNING, "frozen": logging.WARNING}


class Leading:
    """One agent's part in steering. With `control` off it never leads, and follows who does.

    A task here is one version of it, under its counted name (see `tracking.versions`): thresholds
    of another version are neither read nor set.
    """

    def __init__(
        self, policies: Mapping[str, CascadePolicy], store: Store, agent_id: str, *, control: bool
    ) -> None:
        self._store = store
        self._agent_id = agent_id
        self._control = control
        self._in_force: dict[str, dict[str, ThresholdState]] = {name: {} for name in policies}
        self._cursors: dict[str, str] = {}
        self._steering = {name: TaskSteering(policy) for name, policy in policies.items()}
        self._publishing = {name: Publishing() for name in policies}
        self._heard: dict[str, dict[str, ThresholdState]] = {}
        self._led_by_another: set[str] = set()

    def serves(self, task: str, policy: CascadePolicy) -> None:
        """A task is to be steered from now on: one version of it, nothing known of its traffic."""
        self._in_force[task] = {}
        self._steering[task] = TaskSteering(policy)
        self._publishing[task] = Publishing()
        self._cursors.pop(task, None)

    def retires(self, task: str) -> None:
        """It is not any more; whoever still asks goes by what is certified."""
        for known in (self._in_force, self._steering, self._publishing, self._cursors):
            known.pop(task, None)

    def thresholds(self, task: str, app: str | None = None) -> Mapping[str, ThresholdState]:
        """What the leader has set, by name; for one app as it is counted, by target."""
        states = self._in_force.get(task, {})
        if app is None:
            return states
        prefix = state_name(source_of(app), "")
        frozen = (f"{FROZEN}{app}", f"{FROZEN}{ALL_APPS}")
        return {
            name.removeprefix(prefix): state
            for name, state in states.items()
            if name in frozen
            or (
                name.startswith(prefix)
                and is_vouched(name) == is_vouched(app)
                and not name.startswith(FROZEN)
            )
        }

    def in_force(self, task: str, target: AccuracyTarget, app: str) -> AccuracyTarget:
        """The certified target with the threshold that the fleet's leader has set above it.

        `app` as it is counted: with its key shown it goes by its own traffic (see `trust`).
        """
        states = self._in_force.get(task)
        if not states:
            return target
        state = states.get(state_name(source_of(app), counted_target(target.accuracy)))
        if state is None or any(
            frozen is not None and frozen.state == "frozen"
            for frozen in (states.get(f"{FROZEN}{app}"), states.get(f"{FROZEN}{ALL_APPS}"))
        ):
            return target
        if state.threshold <= target.threshold:
            return target
        return AccuracyTarget(target.accuracy, state.threshold, target.expected_escalation_rate)

    def heard(self, task: str, states: Iterable[ThresholdState]) -> None:
        """Thresholds have come into force, as the store tells."""
        known = self._in_force.get(task)
        if known is not None:
            news = {state.target: state for state in states}
            if task in self._heard:  # what is being read meanwhile may be older
                self._heard[task] |= news
            self._take_in(task, known | news)

    async def refresh(self, task: str, now: float) -> bool:
        """Steer where this agent leads, then take in what is in force; whether to steer on at once.

        Raises StoreUnavailable; what was in force stays.
        """
        rises = self._control and await self._lead(task, now)
        self._heard[task] = {}
        try:
            found = await self._store.thresholds(task)
        finally:
            news = self._heard.pop(task)
        if task in self._in_force:  # not retired meanwhile
            self._take_in(task, found | news)
        return rises

    def _take_in(self, task: str, found: dict[str, ThresholdState]) -> None:
        for state, who in changes(self._in_force[task], found):
            _log.log(_LEVELS.get(state, logging.INFO), "task %s: %s: %s", task, state, who)
        self._in_force[task] = found

    async def _lead(self, task: str, now: float) -> bool:
        """Whether a threshold rises that was published at once."""
        if task in self._led_by_another:  # every second time is often enough to take over
            self._led_by_another.discard(task)
            return False
        fence = await self._store.take_lead(task, self._agent_id, _LEAD_S)
        if fence is None:
            self._led_by_another.add(task)
            if task in self._publishing:
                self._publishing[task].forget()
            return False
        fresh = await self._store.since(task, self._cursors.get(task))
        current = await self._store.thresholds(task)
        steering = self._steering.get(task)
        if steering is None:
            return False
        publishing = self._publishing[task]
        over = publishing.over(current)
        moved = steering.update(fresh.counts, over, fence=fence, now=now)
        self._cursors[task] = fresh.cursor  # what is fresh has been taken in, and only now
        states = publishing.due(moved, current, now)
        urgent = publishing.urgent(current)
        if states:
            with contextlib.suppress(StaleFence):
                await self._store.put_thresholds(task, states, fence)
            publishing.done(now)
        return urgent
