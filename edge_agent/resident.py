"""A rung above the first that an agent holds: what it costs, and when its answer stands."""

from __future__ import annotations

import logging
from typing import Any

from hawkvision.engines import Engine
from hawkvision.errors import HawkVisionError
from hawkvision.images import ImageLimits
from hawkvision.repository import Task
from hawkvision.rungs import LoadedRung
from hawkvision.serving.job import Ticket
from hawkvision.serving.pace import Pace

_log = logging.getLogger(__name__)
_MOST_ITEMS = 16
"""A job counts as so many images at most, so that a queue of the usual length has room for it."""


def load_rung(task: Task, place: int, engine: str) -> LoadedRung:
    """Open a rung and run it over its reference images. Raises HawkVisionError."""
    rung = task.rungs[place]
    loaded = LoadedRung.open(rung, task.kind, engine=engine, reference=task.reference(rung.name))
    if not loaded.agreement.agree:
        _log.warning(
            "task %s, rung %s: this engine's answers differ from the certified ones by %.3g "
            "(tolerated: %.3g); no answer that rests on it is certified. Calibrate with --engine "
            "%s",
            task.name,
            rung.name,
            loaded.agreement.deviation,
            loaded.agreement.tolerance,
            engine,
        )
    return loaded


def pace_of(engine: Engine) -> Pace | None:
    """The event loop may compute, but not wait for a device."""
    return Pace() if engine.metadata.device == "cpu" else None


class Resident:
    """A rung at its `place` in the task, loaded. `answer` may run on several threads at once.

    `stands_in` says whether its answer is better than the first rung's where the chain has none.
    """

    def __init__(
        self, task: Task, place: int, rung: LoadedRung, limits: ImageLimits, *, stands_in: bool
    ) -> None:
        self.place = place
        self.stands_in = stands_in
        self.rung = rung
        self.last = place == len(task.rungs) - 1
        self.pace = pace_of(rung.engine)
        self._threshold = task.thresholds[place]
        self._measured_s = task.rungs[place].measured.get("milliseconds", 0.0) / 1e3
        self._limits = limits
        self._said = False

    @property
    def ever_sure(self) -> bool:
        """Whether the chain ever takes its answer; if not, it stands in for a lost link alone."""
        return self.last or self._threshold <= 1

    @property
    def expected_s(self) -> float:
        """How long a job takes, as far as is known, seconds."""
        known = None if self.pace is None else self.pace.mean_s
        return self._measured_s if known is None else known

    def items(self, first: Pace | None) -> int:
        """As how many images of the first rung, whose pace this is, a job counts in the queue."""
        mine = None if self.pace is None else self.pace.mean_s
        its = None if first is None else first.mean_s
        if not mine or not its:
            return 1
        return min(max(1, round(mine / its)), _MOST_ITEMS)

    def stands(self, prediction: Any) -> bool:
        """Whether this is the chain's answer, or the next rung is to be asked."""
        return self.last or bool(prediction.confidence >= self._threshold)

    def answer(self, image: bytes, ticket: Ticket) -> Any:
        """What it says of an encoded image.

        Raises the image errors, EngineError, or DeadlineExceeded.
        """
        pixels = self.rung.prepare(image, self._limits, ticket.weigh)
        ticket.check()
        return self.rung.predict([pixels])[0]

    def failed(self, error: HawkVisionError) -> None:
        """Say once why it does not answer; the other rungs do."""
        if not self._said:
            self._said = True
            _log.warning("rung %s does not answer: %s", self.rung.name, error)
