"""From an outcome to counters and a signed request id, and from feedback to counters. No I/O."""

from __future__ import annotations

import itertools
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from edge_agent.outcome import Outcome
from hawkvision.tasks.base import TaskKind
from hawkvision.tracking import counts
from hawkvision.tracking.receipts import Receipt, issue, verify
from hawkvision.tracking.records import CountKey

FEEDBACK_S = 24 * 3600.0
"""So long after an answer its feedback is taken, seconds."""

_REMEMBERED = 100_000
_MOST_KINDS = 256
"""Versions of tasks whose answers feedback is taken for; those that served last."""


class Counting:
    """Counts what is answered, and what feedback says of it.

    `kinds` are by counted name (see `tracking.versions`). `key` signs request ids: this agent's own
    until the fleet's is known. Ids of both are good.
    """

    def __init__(
        self,
        add: counts.Add,
        kinds: Mapping[str, TaskKind[Any, Any]],
        own_key: bytes | None = None,
    ) -> None:
        self._add = add
        self._kinds = dict(kinds)
        self.own_key = self.key = own_key or secrets.token_bytes(32)
        self._numbers = itertools.count(secrets.randbits(31) << 32)
        self._claimed: OrderedDict[int, None] = OrderedDict()

    def serves(self, name: str, kind: TaskKind[Any, Any]) -> None:
        """A version serves from now on; feedback for its answers is taken also when it is gone."""
        self._kinds.pop(name, None)
        self._kinds[name] = kind
        if len(self._kinds) > _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]

    def kind_of(self, receipt: Receipt) -> TaskKind[Any, Any]:
        """What the answer of a receipt, which `receipt` gave, is of."""
        return self._kinds[receipt.task]

    def plain_id(self) -> str:
        """A request id that says nothing, for an answer that nobody counts."""
        return f"{next(self._numbers):016x}"

    def answered(self, outcome: Outcome, now: float) -> str:
        """Count an answer; its request id. Damaged images are counted under their loss level."""
        key = count_key(outcome)
        edge, answer = outcome.edge.prediction, outcome.prediction
        kind = outcome.local.task.kind
        said = kind.brief(edge)
        counts.answered(
            self._add,
            key,
            served_by=outcome.counted_as,
            degraded=outcome.degraded,
            loss_level=outcome.loss_level,
            edge_confidence=edge.confidence,
            answer_confidence=answer.confidence,
        )
        return issue(
            Receipt(
                number=next(self._numbers),
                time_s=int(now),
                task=key.task,
                app=key.app,
                target=key.target,
                answer=said if answer is edge else kind.brief(answer),
                edge=said,
                escalated=outcome.dc is not None,
                confidence=edge.confidence,
            ),
            self.key,
        )

    def receipt(self, request_id: str, now: float) -> Receipt | None:
        """The facts of an answer that this fleet gave within a day; None for anything else."""
        found = verify(request_id, self.key, self.own_key)
        if found is None or found.task not in self._kinds:
            return None
        return found if abs(now - found.time_s) <= FEEDBACK_S else None

    def first(self, receipt: Receipt) -> bool:
        """Whether this agent has not had feedback for the answer before; it has from now on."""
        if receipt.number in self._claimed:
            return False
        self._claimed[receipt.number] = None
        if len(self._claimed) > _REMEMBERED:
            self._claimed.popitem(last=False)
        return True

    def fed_back(self, receipt: Receipt, truth: Any) -> None:
        """Count the truth of an answer, as the task's kind parses it."""
        kind = self._kinds[receipt.task]
        counts.fed_back(
            self._add,
            CountKey(receipt.task, receipt.app, receipt.target),
            served_by="dc" if receipt.escalated else "edge",
            error=kind.judge(receipt.answer, truth),
            edge_error=kind.judge(receipt.edge, truth),
        )


def count_key(outcome: Outcome) -> CountKey:
    """Under what an outcome is counted."""
    return CountKey(
        outcome.local.counted, outcome.app, counts.counted_target(outcome.target.accuracy)
    )
