"""One task at the edge: its resident model, labels and thresholds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.cascade import CascadePolicy, Prediction, predict
from hawkvision.cascade.loss import LossPolicy
from hawkvision.engines import Engine, open_engine
from hawkvision.errors import CalibrationError, EngineError
from hawkvision.images import ImageLimits, decode, fit
from hawkvision.repository import Task


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What the edge rung says of one image, and what that took."""

    prediction: Prediction
    decode_ms: float
    infer_ms: float


class LocalTask:
    """A task with its edge rung loaded. `answer` may run on several threads at once."""

    def __init__(self, task: Task, engine: Engine, limits: ImageLimits, delta: float) -> None:
        rung = task.rungs[0]
        self.task = task
        self.engine = engine
        self.limits = limits
        self.min_side = max(rung.geometry.width, rung.geometry.height)
        self._geometry = rung.geometry
        self._temperature = rung.temperature
        scores = task.scores()
        if scores.curve(delta).highest_certifiable <= 0:
            raise CalibrationError(f"task {task.name} certifies no accuracy target at all")
        self.policy = CascadePolicy(scores, task.default_accuracy, delta=delta, tiers=task.tiers)
        _ = self.policy.relative  # now, not while a request waits
        self.loss_policy = LossPolicy(scores, delta=delta, tiers=task.tiers)

    @classmethod
    def load(cls, task: Task, *, engine: str, limits: ImageLimits, delta: float) -> LocalTask:
        """Open the edge rung, check it against the labels, run it once."""
        rung = task.rungs[0]
        task.check_digest(rung)
        loaded = cls(task, open_engine(rung.model, name=engine, threads=1), limits, delta)
        size = (1, 3, rung.geometry.height, rung.geometry.width)
        logits = loaded.engine.infer(np.full(size, 128, np.uint8))
        if logits.shape != (1, len(task.labels)):
            raise EngineError(
                f"task {task.name}: the edge rung answers {logits.shape[-1]} classes, "
                f"the task has {len(task.labels)} labels",
                hint="Check task.toml against the model.",
            )
        return loaded

    def answer(self, data: bytes) -> LocalAnswer:
        """Decode, preprocess, infer. Raises the image errors, or EngineError."""
        start = time.perf_counter()
        image = fit(decode(data, self.limits, min_side=self.min_side), self._geometry)
        decoded = time.perf_counter()
        prediction = self._predict(image)
        done = time.perf_counter()
        return LocalAnswer(prediction, (decoded - start) * 1e3, (done - decoded) * 1e3)

    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """The answer for decoded pixels, uint8 RGB [H,W,3] of any size. Raises EngineError."""
        return self._predict(fit(image, self._geometry))

    def _predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        logits = self.engine.infer(image[None].transpose(0, 3, 1, 2))[0]
        prediction = predict(logits, self._temperature)
        if prediction.confidence != prediction.confidence:
            raise EngineError(
                f"the edge rung of {self.task.name} answered NaN",
                hint="Check the model with `hawkvision models verify`.",
            )
        return prediction
