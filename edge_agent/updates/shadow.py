"""A share of the requests is answered by the other version too, beside the users' own.

Users go first: nothing is begun while images wait for a thread, and few are under way at a time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from edge_agent.chain import Chain
from edge_agent.fleet.audits import Ask, Start
from edge_agent.local import LocalAnswer, LocalTask
from edge_agent.outcome import Outcome
from edge_agent.updates.trial import Compared, Trial
from edge_agent.upstream import Call
from hawkvision.cascade import CascadePolicy
from hawkvision.errors import DeadlineExceeded, Overloaded
from hawkvision.serving.claims import Priority
from hawkvision.serving.job import Ticket
from hawkvision.serving.pool import WorkerPool
from hawkvision.tracking.receipts import Receipt
from hawkvision.tracking.versions import task_of

_AT_ONCE = 2
_WITHIN_S = 2.0
_TIMED = 0.25
"""The share of the comparisons in which both versions compute once more, for their times."""

_NOBODYS_FAULT = ("overload", "deadline")
"""Why an answer that no user waits for did not come, and a user's would have."""

Answers = tuple[LocalAnswer, LocalAnswer | None]
Known = Callable[[str], Receipt | None]


class Shadow:
    """Within one event loop. `trials` are by the task's name."""

    def __init__(
        self,
        pool: WorkerPool,
        chain: Chain,
        ask: Ask,
        start: Start,
        known: Known,
        noticed: Callable[[], None],
        rng: random.Random | None = None,
    ) -> None:
        self.trials: dict[str, Trial] = {}
        self._pool = pool
        self._chain = chain
        self._ask = ask
        self._start = start
        self._known = known
        self._noticed = noticed
        self._rng = rng or random.Random()

    def answered(self, outcome: Outcome, request_id: str) -> None:
        """A request was answered; perhaps the other version answers it too."""
        trial = self.trials.get(outcome.local.task.name)
        if trial is None or outcome.image is None or outcome.loss_level > 0:
            return
        other = trial.other(outcome.local)
        if other is None or self._rng.random() >= trial.rollout.shadow:
            return
        if trial.under_way >= _AT_ONCE or self._pool.waiting:
            return
        trial.under_way += 1
        image = outcome.image
        self._start("shadow", lambda: self._compare(trial, other, outcome, image, request_id))

    def labelled(self, receipt: Receipt, truth: Any) -> None:
        """A client says what was right about an answer."""
        trial = self.trials.get(task_of(receipt.task))
        if trial is not None:
            trial.labelled(receipt.number, truth)
            self._noticed()

    async def _compare(
        self, trial: Trial, other: LocalTask, outcome: Outcome, image: bytes, request_id: str
    ) -> None:
        try:
            await self._compared(trial, other, outcome, image, request_id)
        except Overloaded:
            pass  # whoever is busy compares less
        except DeadlineExceeded:
            trial.unjudged()
        except Exception:
            # Whatever goes wrong over the one goes wrong for users once it serves.
            trial.failed(other)
            raise
        finally:
            trial.under_way -= 1
            self._noticed()

    async def _compared(
        self, trial: Trial, other: LocalTask, outcome: Outcome, image: bytes, request_id: str
    ) -> None:
        due = time.monotonic() + _WITHIN_S
        again = outcome.local if self._rng.random() < _TIMED else None
        first = self._rng.random() < 0.5

        def both(data: bytes, ticket: Ticket) -> Answers:
            before = again.answer(data, ticket) if again is not None and first else None
            found = other.answer(data, ticket)
            after = again.answer(data, ticket) if again is not None and not first else None
            return found, before or after

        edge, timed = await self._pool.submit(both, image, deadline=due)
        found, refused = edge.prediction, None
        above = None
        target = other.policy.resolve(outcome.target.accuracy)
        if not CascadePolicy.answers_locally(edge.prediction, target):
            name = f"shadow-{request_id[:40]}"
            call = Call(other.task, image, due, name, priority=Priority.AUDIT)
            asked = await self._chain.ask(other, call)
            refused = asked.refused
            above = asked.prediction if refused is None else None
            found = edge.prediction if asked.prediction is None else asked.prediction
        if refused in _NOBODYS_FAULT or outcome.degraded in _NOBODYS_FAULT:
            trial.unjudged()
            return
        trial.image = image
        kind = trial.old.task.kind
        is_old = other is trial.old
        old, new = (found, outcome.prediction) if is_old else (outcome.prediction, found)
        losses = None
        if kind.brief(old) != kind.brief(new) and "dc" in trial.rollout.judges:
            reference = above if is_old else outcome.dc
            if reference is None:
                reference = await self._ask(trial.old, image, "audit")
            if reference is not None:
                losses = kind.soft_loss(old, reference), kind.soft_loss(new, reference)
        old_ms, new_ms = 0.0, 0.0
        if timed is not None:
            here, there = edge.infer_ms, timed.infer_ms
            old_ms, new_ms = (here, there) if is_old else (there, here)
        receipt = self._known(request_id)
        number = None if receipt is None else receipt.number
        pair = Compared(number, kind.brief(old), kind.brief(new), losses, old_ms, new_ms)
        trial.compared(pair, time.monotonic())
