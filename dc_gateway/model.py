"""The large rung of one task, loaded: encoded images in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dc_gateway.config import GatewayConfig
from hawkvision.cascade.confidence import softmax
from hawkvision.engines import Engine, open_engine
from hawkvision.errors import EngineError, InvalidRequest, RepositoryError
from hawkvision.images import ImageLimits, decode, fit
from hawkvision.repository import Repository, Task


class LargeModel:
    """A task with its last rung loaded. `probabilities` may run on several threads at once."""

    def __init__(self, task: Task, engine: Engine, limits: ImageLimits) -> None:
        rung = task.rungs[-1]
        self.task = task
        self.engine = engine
        self._limits = limits
        self._geometry = rung.geometry
        self._min_side = max(rung.geometry.width, rung.geometry.height)
        self._temperature = rung.temperature

    @classmethod
    def load(cls, task: Task, *, engine: str, limits: ImageLimits) -> LargeModel:
        """Open the large rung, check it against its digest and the labels, run it once.

        Raises RepositoryError or EngineError.
        """
        rung = task.rungs[-1]
        task.check_digest(rung)
        loaded = cls(task, open_engine(rung.model, name=engine, threads=1), limits)
        size = (1, 3, rung.geometry.height, rung.geometry.width)
        logits = loaded.engine.infer(np.full(size, 128, np.uint8))
        if logits.shape != (1, len(task.labels)):
            raise EngineError(
                f"task {task.name}: rung {rung.name!r} answers {logits.shape[-1]} classes, "
                f"the task has {len(task.labels)} labels",
                hint="Check task.toml against the model.",
            )
        return loaded

    def probabilities(
        self, images: Sequence[bytes], checkpoint: Callable[[], None]
    ) -> npt.NDArray[np.float32]:
        """Decode and classify: temperature-scaled probabilities float32 [N,K].

        `checkpoint` is called between the steps and may raise to give up. Raises the image
        errors, naming the image among several, or EngineError.
        """
        pixels = np.empty((len(images), self._geometry.height, self._geometry.width, 3), np.uint8)
        for index, data in enumerate(images):
            checkpoint()
            try:
                pixels[index] = fit(
                    decode(data, self._limits, min_side=self._min_side), self._geometry
                )
            except InvalidRequest as error:
                if len(images) == 1:
                    raise
                message = f"image {index} of {len(images)}: {error.message}"
                raise type(error)(message, hint=error.hint) from error
        checkpoint()
        answer = softmax(self.engine.infer(pixels.transpose(0, 3, 1, 2)), self._temperature)
        if not np.isfinite(answer).all():
            raise EngineError(
                f"the large rung of {self.task.name} answered NaN or infinity",
                hint="Check the model with `hawkvision models verify`.",
            )
        return answer


def load_models(config: GatewayConfig) -> dict[str, LargeModel]:
    """Open the large rung of every wanted task, by task name. Raises HawkVisionError."""
    repository = Repository(config.model_repository)
    names = list(config.tasks) or repository.tasks()
    if not names:
        raise RepositoryError(
            f"no tasks in {config.model_repository}", hint="See `hawkvision models list`."
        )
    return {
        name: LargeModel.load(repository.open(name), engine=config.engine, limits=config.limits)
        for name in names
    }
