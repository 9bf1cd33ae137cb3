"""The rungs above the first: those held here are jobs of the pool, the others answer over the link.

What comes out is the chain's answer, whoever gives it; without a link the best that is here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.local import LocalTask
from edge_agent.resident import Resident
from edge_agent.upstream import Answered, Call, Reason, Upstream
from hawkvision.errors import DeadlineExceeded, HawkVisionError, Overloaded
from hawkvision.serving.claims import Priority
from hawkvision.serving.pool import WorkerPool
from hawkvision.tracking.counts import PROBES

_ASIDE_S = 2.0
"""So long an audit or a probe waits for the data center, seconds."""


@dataclass(frozen=True, slots=True)
class Chained:
    """What the rungs above the first make of an image.

    `prediction` is the chain's answer or, where `refused` says why there is none, that of the last
    rung here that errs less than the first one and gave any, None without; `place` is that rung's
    in the task, 0 without.
    `agrees` is false where a rung that was asked does not compute as it was certified. `missing`
    are places of rungs that nobody had: from the first on, up to the second; None where it was the
    task's own chain.
    """

    prediction: Any | None
    place: int
    over_link: bool
    refused: Reason | None
    agrees: bool
    missing: tuple[int, int] | None = None


NOTHING = Chained(None, 0, over_link=False, refused=None, agrees=True)
"""Nobody was asked, or nobody answered."""


class Chain:
    """Asks the rungs in their order. Where the pool has no room, the gateway gets more to do."""

    def __init__(self, pool: WorkerPool, upstream: Upstream) -> None:
        self._pool = pool
        self._upstream = upstream

    async def ask(self, local: LocalTask, call: Call) -> Chained:
        """By the call's deadline; never raises for what a rung or the link does."""
        best, agrees = NOTHING, True
        passed: list[Resident] = []
        from_rung = 1
        for resident in local.above:
            if resident.ever_sure:
                prediction = await self._here(local, resident, call)
                if prediction is None:
                    break
                agrees = agrees and resident.rung.agreement.agree
                found = Chained(prediction, resident.place, False, None, agrees)
                if resident.stands(prediction):
                    return found
                if resident.stands_in:
                    best = found
            else:
                passed.append(resident)
            from_rung = resident.place + 1
        reply = await self._upstream.ask(replace(call, from_rung=from_rung))
        if isinstance(reply, Answered):
            return _answered(local, from_rung, reply, agrees)
        for resident in reversed(passed):
            if resident.stands_in and resident.place > best.place:
                prediction = await self._here(local, resident, call)
                if prediction is not None:
                    best = Chained(prediction, resident.place, False, None, agrees)
                    break
        return replace(best, refused=reply.reason, agrees=agrees)

    async def aside(self, local: LocalTask, image: bytes, what: str) -> Any | None:
        """What the rungs above the first say of an image that no client waits for: an audit, or a
        probe. None where they give no answer."""
        due = time.monotonic() + _ASIDE_S
        priority = Priority.PROBE if what == PROBES else Priority.AUDIT
        found = await self.ask(local, Call(local.task, image, due, what, priority=priority))
        return found.prediction if found.refused is None else None

    async def _here(self, local: LocalTask, resident: Resident, call: Call) -> Any | None:
        """What a rung held here says; None where it does not, or would come too late."""
        if call.deadline - time.monotonic() < resident.expected_s:
            return None
        try:
            return await self._pool.submit(
                resident.answer,
                call.image,
                items=resident.items(local.pace),
                deadline=call.deadline,
                pace=resident.pace,
            )
        except (Overloaded, DeadlineExceeded):
            return None
        except HawkVisionError as error:
            resident.failed(error)
            return None


def _answered(local: LocalTask, from_rung: int, reply: Answered, agrees: bool) -> Chained:
    last = len(local.task.rungs) - 1
    began = reply.began or from_rung
    # Of another flavour over there, the rungs that are held here are not the certified ones.
    own = local.task.upper is not None and from_rung <= len(local.above)
    return Chained(
        reply.prediction,
        reply.rung or last,
        over_link=True,
        refused=None,
        agrees=agrees and reply.agrees,
        missing=(from_rung, began) if began > from_rung or own else None,
    )
