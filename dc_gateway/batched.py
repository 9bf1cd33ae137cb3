"""A model whose calls share batches: decode on a pool's thread, then wait for the batch there."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dc_gateway.model import Asked, LargeModel
from hawkvision.serving.batch_runner import BatchRunner, Line, Prepared
from hawkvision.serving.claims import Claim
from hawkvision.serving.job import LATER, Ticket
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.waiting import Limits, Waiting


@dataclass(frozen=True, slots=True)
class Question:
    """The encoded images of one call, when it is due (`time.monotonic`), and what it claims.

    `start` is the first of the model's rungs that is asked.
    """

    images: Sequence[bytes]
    deadline: float
    claim: Claim
    start: int = 0


class BatchedModel:
    """Each of `works`, by the rung that begins, is work for the pool; each rung has a line."""

    def __init__(
        self, model: LargeModel, runner: BatchRunner, limits: Limits, pool: WorkerPool
    ) -> None:
        self._model = model
        self._runner = runner
        self._lines: list[Line] = []
        self._sizes: list[int] = []
        self.works = [partial(self.answer) for _ in model.rungs]
        for number, rung in enumerate(model.rungs):
            fits = rung.engine.metadata.max_batch or limits.batch
            own = Limits(min(limits.batch, fits), limits.images, limits.size)
            coming = _coming(pool, self.works[number])
            name = f"{model.task.name}/{rung.name}"
            self._lines.append(runner.line(name, rung.predict, own, coming, pool.batch_ended))
            self._sizes.append(rung.geometry.width * rung.geometry.height * 3)
        # Whatever waits in a line holds this, so the lines are empty when nobody does.
        weakref.finalize(self, runner.leave, self._lines).atexit = False

    def check(self, question: Question) -> None:
        """Raise DeadlineExceeded or Overloaded where no batch would take it in time."""
        rung = question.start
        self._runner.check(self._lines[rung], self._waiting(rung, question, len(question.images)))

    def answer(self, question: Question, ticket: Ticket) -> Any:
        """Decode, and enter for the batch of the rung that begins; the ticket gets an `Asked`.

        Raises the image errors, Overloaded, or DeadlineExceeded.
        """
        return self._ask(question.start, question, Asked.all_of(question.images), ticket)

    def _ask(self, rung: int, question: Question, asked: Asked, ticket: Ticket) -> Any:
        start = time.perf_counter()
        images = self._model.prepare(rung, asked, ticket)
        self._runner.took((time.perf_counter() - start) / len(images))
        ticket.check()
        prepared = Prepared(
            images, partial(self._answered, rung, question, asked, ticket), ticket.fail
        )
        waiting = self._waiting(rung, question, len(images), prepared)
        waiting.wanted = lambda: ticket.wanted
        self._runner.enter(self._lines[rung], waiting)
        return LATER

    def _waiting(
        self, rung: int, question: Question, count: int, prepared: Prepared | None = None
    ) -> Waiting[Prepared]:
        size = count * self._sizes[rung]
        work = prepared or _NOTHING
        return Waiting(work, count, size, question.deadline, question.claim)

    def _answered(
        self, rung: int, question: Question, asked: Asked, ticket: Ticket, answers: list[Any]
    ) -> None:
        try:
            more = self._model.take_in(rung, asked, answers)
        except Exception as error:
            ticket.fail(error)
            return
        if more:
            ticket.go_on(self._next(rung + 1, question), asked)
        else:
            ticket.answer(asked)

    def _next(self, rung: int, question: Question) -> Callable[[Asked, Ticket], Any]:
        return lambda asked, ticket: self._ask(rung, question, asked, ticket)


def _coming(pool: WorkerPool, work: Callable[..., Any]) -> Callable[[], int]:
    """How many images wait for a thread to prepare them; does not keep the work, or its model."""
    kept = weakref.ref(work)

    def coming() -> int:
        found = kept()
        return 0 if found is None else pool.waiting_for(found)

    return coming


def _nobody(_told: object) -> None:
    return None


_NOTHING = Prepared((), _nobody, _nobody)
"""In place of images that are not prepared yet."""
