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

AT_ONCE = 4
"""Audits under way at once; further ones are left out."""

Ask = Callable[[LocalTask, bytes, str], Awaitable[Any | None]]
"""What the data center predicts for an encoded image, or None; the text says who asks."""

Start = Callable[[str, Work], None]
"""Runs named work beside the requests."""


class Audits:
    """Takes in every outcome; the share that is audited follows the edge's confidence.

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
        self._policies = {
            name: AuditPolicy(
                float(local.policy.scores.confidence.mean()),
                float(local.policy.scores.confidence.std()),
                settings,
            )
            for name, local in tasks.items()
        }
        self._seen: dict[str, tuple[float, float]] = dict.fromkeys(tasks, (0.0, 0.0))
        self._add = add
        self._ask = ask
        self._start = start
        self._rng = rng
        self._under_way = 0

    def share(self, task: str) -> float:
        """The share of local answers that are audited now."""
        return self._policies[task].share

    def look(self, task: str) -> None:
        """Take in what was answered since the last look; the share may change."""
        seen, total = self._seen[task]
        self._seen[task] = (0.0, 0.0)
        self._policies[task].see(seen, total)

    def answered(self, outcome: Outcome) -> None:
        """Compare the rungs where both answered; else perhaps ask the data center too."""
        if outcome.loss_level > 0:
            return
        task, edge = outcome.local.task.name, outcome.edge.prediction
        seen, total = self._seen[task]
        self._seen[task] = (seen + 1, total + edge.confidence)
        if outcome.image is None:
            return
        if outcome.dc is not None:
            self._compare(outcome, outcome.dc, 1.0)
        elif outcome.degraded is None:
            share = self.share(task)
            if self._rng.random() < share and self._under_way < AT_ONCE:
                self._under_way += 1
                self._start("audit", partial(self._audit, outcome, outcome.image, 1 / share))

    async def _audit(self, outcome: Outcome, image: bytes, weight: float) -> None:
        try:
            dc = await self._ask(outcome.local, image, "audit")
        finally:
            self._under_way -= 1
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
            task.name,
            edge_confidence=edge.confidence,
            edge_error=edge_error,
            dc_error=task.kind.soft_loss(dc, dc),
            weight=weight,
        )
        return edge_error
