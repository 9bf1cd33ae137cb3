"""Which local answers the data center sees too, a few at a time; and both rungs compared."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from edge_agent.fleet.counting import count_key
from edge_agent.fleet.jobs import Work
from edge_agent.local import LocalTask
from edge_agent.outcome import Outcome
from hawkvision.tracking import counts
from hawkvision.tracking.control.audit import AuditPolicy, AuditSettings
from hawkvision.tracking.trust import ANONYMOUS, source_of

AT_ONCE = 4
"""Audits of one source under way at once; further ones are left out."""

Ask = Callable[[LocalTask, bytes, str], Awaitable[Any | None]]
"""What the data center predicts for an encoded image, or None; the text says who asks."""

Start = Callable[[str, Work], None]
"""Runs named work beside the requests."""


class _Source:
    """One source's traffic (see `trust`): its share of audits, and how many are under way."""

    def __init__(self, policy: AuditPolicy) -> None:
        self.policy = policy
        self.seen = self.confidence = 0.0
        self.under_way = 0


class Audits:
    """Takes in every outcome; the share that is audited follows the edge's confidence.

    A task is one version of it, under its counted name. Each source has audits of its own, so that
    no flood of anonymous requests takes those of an app, nor raises their share.

    Damaged images have thresholds of their own and say nothing about drift of the traffic: they
    are left out, and so is what cannot be asked again (no image) or was degraded.
    """

    def __init__(
        self,
        tasks: Mapping[str, LocalTask],
        settings: AuditSettings,
        add: counts.Add,
        ask: Ask,
        start: Start,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._calibrated: dict[str, tuple[float, float]] = {}
        for local in tasks.values():
            self.serves(local)
        self._sources: dict[tuple[str, str], _Source] = {}
        self._add = add
        self._ask = ask
        self._start = start
        self._rng = rng

    def serves(self, local: LocalTask) -> None:
        """A version of a task is audited from now on."""
        confidence = local.policy.scores.confidence
        self._calibrated[local.counted] = (float(confidence.mean()), float(confidence.std()))

    def retires(self, task: str) -> None:
        """It is not any more, and neither are its last answers."""
        self._calibrated.pop(task, None)
        self._sources = {key: one for key, one in self._sources.items() if key[0] != task}

    def _of(self, task: str, source: str) -> _Source:
        found = self._sources.get((task, source))
        if found is None:
            policy = AuditPolicy(*self._calibrated[task], self._settings)
            found = self._sources[task, source] = _Source(policy)
        return found

    def share(self, task: str, source: str = ANONYMOUS) -> float:
        """The share of a source's local answers that are audited now."""
        return self._of(task, source).policy.share if task in self._calibrated else 0.0

    def look(self, task: str) -> None:
        """Take in what was answered since the last look; shares may change."""
        for (of, _), source in self._sources.items():
            if of == task:
                source.policy.see(source.seen, source.confidence)
                source.seen = source.confidence = 0.0

    def answered(self, outcome: Outcome) -> None:
        """Compare the rungs where both answered; else perhaps ask the data center too."""
        if outcome.loss_level > 0 or outcome.local.counted not in self._calibrated:
            return
        task, edge = outcome.local.counted, outcome.edge.prediction
        source = self._of(task, source_of(outcome.app))
        source.seen += 1
        source.confidence += edge.confidence
        if outcome.image is None:
            return
        if outcome.dc is not None:
            self._compare(outcome, outcome.dc, 1.0)
        elif outcome.degraded is None:
            share = source.policy.share
            if self._rng.random() < share and source.under_way < AT_ONCE:
                source.under_way += 1
                audit = partial(self._audit, outcome, outcome.image, 1 / share, source)
                self._start("audit", audit)

    async def _audit(self, outcome: Outcome, image: bytes, weight: float, source: _Source) -> None:
        try:
            dc = await self._ask(outcome.local, image, "audit")
        finally:
            source.under_way -= 1
        if dc is None:
            return
        error = self._compare(outcome, dc, weight)
        counts.audited(self._add, count_key(outcome), edge_error=error, weight=weight)

    def _compare(self, outcome: Outcome, dc: Any, weight: float) -> float:
        """Count both rungs' errors if the data center's answer is believed; the edge's error."""
        task, edge = outcome.local.task, outcome.edge.prediction
        edge_error = task.kind.soft_loss(edge, dc)
        counts.compared(
            self._add,
            outcome.local.counted,
            edge_confidence=edge.confidence,
            edge_error=edge_error,
            dc_error=task.kind.soft_loss(dc, dc),
            weight=weight,
            source=source_of(outcome.app),
        )
        return edge_error
