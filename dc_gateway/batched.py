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
    """The encoded images of one call, when it is due (`time.monotonic`), and what it claims."""

    images: Sequence[bytes]
    deadline: float
    claim: Claim


class BatchedModel:
    """`answer` is work for the pool; each rung of the model has a line of its own."""

    def __init__(
        self, model: LargeModel, runner: BatchRunner, limits: Limits, pool: WorkerPool
    ) -> None:
        self._model = model
        self._runner = runner
        self._lines: list[Line] = []
        self._sizes: list[int] = []
        for number, rung in enumerate(model.rungs):
            fits = rung.engine.metadata.max_batch or limits.batch
            own = Limits(min(limits.batch, fits), limits.images, limits.size)
            coming = _coming(pool, self) if number == 0 else _none
            name = f"{model.task.name}/{rung.name}"
            self._lines.append(runner.line(name, rung.predict, own, coming))
            self._sizes.append(rung.geometry.width * rung.geometry.height * 3)
        # Whatever waits in a line holds this, so the lines are empty when nobody does.
        weakref.finalize(self, runner.leave, self._lines).atexit = False

    def check(self, question: Question) -> None:
        """Raise DeadlineExceeded or Overloaded where no batch would take it in time."""
        self._runner.check(self._lines[0], self._waiting(0, question, len(question.images)))

    def answer(self, question: Question, ticket: Ticket) -> Any:
        """Decode, and enter for the first rung's batch; the ticket gets the predictions.

        Raises the image errors, Overloaded, or DeadlineExceeded.
        """
        return self._ask(0, question, Asked.all_of(question.images), ticket)

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
            ticket.answer(asked.answers)

    def _next(self, rung: int, question: Question) -> Callable[[Asked, Ticket], Any]:
        return lambda asked, ticket: self._ask(rung, question, asked, ticket)


def _coming(pool: WorkerPool, model: BatchedModel) -> Callable[[], int]:
    """How many images wait for a thread to prepare them; does not keep the model."""
    answer = weakref.WeakMethod(model.answer)

    def coming() -> int:
        work = answer()
        return 0 if work is None else pool.waiting_for(work)

    return coming


def _none() -> int:
    return 0


def _nobody(_told: object) -> None:
    return None


_NOTHING = Prepared((), _nobody, _nobody)
"""In place of images that are not prepared yet."""
