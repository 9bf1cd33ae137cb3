"""One task at the edge: its resident rung and its thresholds."""

from __future__ import annotations

import logging
import time
import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hawkvision.cascade import CascadePolicy
from hawkvision.cascade.loss import LossPolicy
from hawkvision.engines import Engine
from hawkvision.errors import CalibrationError
from hawkvision.images import ImageLimits
from hawkvision.repository import Task
from hawkvision.rungs import LoadedRung
from hawkvision.serving.job import Ticket
from hawkvision.serving.pace import Pace
from hawkvision.tracking.versions import counted

_log = logging.getLogger(__name__)


class LocalAnswer(NamedTuple):
    """What the edge rung says of one image, and what that took."""

    prediction: Any
    decode_ms: float
    infer_ms: float


class LocalTask:
    """A version of a task with its edge rung loaded. `answer` may run on several threads at once.

    Whoever holds it may use it: the network is freed when nobody does. `counted` is the name that
    statistics go by (see `tracking.versions`).
    """

    def __init__(self, task: Task, rung: LoadedRung, limits: ImageLimits, delta: float) -> None:
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
        # The event loop may compute, but not wait for a device.
        self.pace = Pace() if rung.engine.metadata.device == "cpu" else None
        _ = self.policy.relative  # now, not while a request waits
        self.loss_policy = LossPolicy(scores, delta=delta, tiers=task.tiers)
        self._freed = weakref.finalize(self, rung.close)
        self._freed.atexit = False

    @classmethod
    def load(cls, task: Task, *, engine: str, limits: ImageLimits, delta: float) -> LocalTask:
        """Open the edge rung and run it over its reference images. Raises HawkVisionError."""
        rung = task.rungs[0]
        loaded = LoadedRung.open(
            rung, task.kind, engine=engine, reference=task.reference(rung.name)
        )
        if not loaded.agreement.agree:
            _log.warning(
                "task %s: this engine's answers differ from the certified ones by %.3g "
                "(tolerated: %.3g); no answer is certified. Calibrate with --engine %s",
                task.name,
                loaded.agreement.deviation,
                loaded.agreement.tolerance,
                engine,
            )
        return cls(task, loaded, limits, delta)

    @property
    def engine(self) -> Engine:
        """What runs the edge rung."""
        return self.rung.engine

    def close(self) -> None:
        """Free the network, whoever still uses it; done by itself when nobody does any more."""
        self._freed()

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
