"""One task at the edge: its resident rungs and its thresholds."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_agent.resident import Resident, load_rung, pace_of
from hawkvision.cascade import CascadePolicy
from hawkvision.cascade.chain import stand_ins
from hawkvision.cascade.loss import LossPolicy
from hawkvision.cascade.other_chains import OtherChains
from hawkvision.engines import Engine
from hawkvision.errors import CalibrationError
from hawkvision.images import ImageLimits
from hawkvision.repository import Task
from hawkvision.rungs import LoadedRung
from hawkvision.serving.job import Ticket
from hawkvision.tracking.versions import counted


class LocalAnswer(NamedTuple):
    """What the edge rung says of one image, and what that took."""

    prediction: Any
    decode_ms: float
    infer_ms: float


class LocalTask:
    """A version of a task with its first rungs loaded. `answer` may run on several threads at once.

    Whoever holds it may use it: the networks are freed when nobody does. `counted` is the name that
    statistics go by (see `tracking.versions`).

    `rung` is the first one, `above` those after it that are held here.
    """

    def __init__(
        self,
        task: Task,
        rung: LoadedRung,
        limits: ImageLimits,
        delta: float,
        above: Sequence[LoadedRung] = (),
    ) -> None:
        self.task = task
        self.counted = counted(task.name, task.version)
        self.rung = rung
        self.version = task.version
        self.agrees = rung.agreement.agree
        self.limits = limits
        scores = task.scores()
        if scores.curve(delta).highest_certifiable <= 0:
            raise CalibrationError(f"task {task.name} certifies no accuracy target at all")
        self.policy = CascadePolicy(scores, task.default_accuracy, delta=delta, tiers=task.tiers)
        better = stand_ins(scores, self.policy.default.threshold)
        self.above = tuple(
            Resident(task, place, one, limits, stands_in=better[place])
            for place, one in enumerate(above, 1)
        )
        self.pace = pace_of(rung.engine)
        _ = self.policy.relative  # now, not while a request waits
        self.loss_policy = LossPolicy(scores, delta=delta, tiers=task.tiers)
        self.other_chains = OtherChains(scores, task.thresholds, delta=delta, tiers=task.tiers)
        self._freed: list[weakref.finalize[Any, Any]] = [weakref.finalize(self, rung.close)]
        # A job of a further rung holds that rung alone.
        self._freed += [weakref.finalize(one, one.rung.close) for one in self.above]
        for freed in self._freed:
            freed.atexit = False

    @classmethod
    def load(
        cls, task: Task, *, engine: str, limits: ImageLimits, delta: float, rungs: int = 1
    ) -> LocalTask:
        """Open the first `rungs`, each run over its reference images. Raises HawkVisionError."""
        first, *above = [load_rung(task, place, engine) for place in range(rungs)]
        return cls(task, first, limits, delta, above)

    @property
    def rungs(self) -> tuple[LoadedRung, ...]:
        """All that are held here, from small to large."""
        return (self.rung, *(resident.rung for resident in self.above))

    @property
    def engine(self) -> Engine:
        """What runs the first rung."""
        return self.rung.engine

    def close(self) -> None:
        """Free the networks, whoever still uses them; done by itself when nobody does any more."""
        for freed in self._freed:
            freed()

    def answer(self, data: bytes, ticket: Ticket) -> LocalAnswer:
        """Decode, preprocess, infer, unless the answer is not wanted any more.

        Raises the image errors, EngineError, or DeadlineExceeded.
        """
        start = time.perf_counter()
        pixels = self.rung.prepare(data, self.limits, ticket.weigh)
        decoded = time.perf_counter()
        ticket.check()
        prediction = self.rung.predict([pixels])[0]
        done = time.perf_counter()
        return LocalAnswer(prediction, (decoded - start) * 1e3, (done - decoded) * 1e3)

    def predict(self, image: npt.NDArray[np.uint8]) -> Any:
        """The answer for decoded pixels, uint8 RGB [H,W,3] of any size. Raises EngineError."""
        return self.rung.predict([self.rung.fit(image)])[0]
