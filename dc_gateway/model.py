"""The data-center rungs of one task, loaded: encoded images in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dc_gateway.config import GatewayConfig
from hawkvision.engines import Engine, open_engine
from hawkvision.errors import EngineError, InvalidRequest, RepositoryError
from hawkvision.images import ImageLimits, decode, fit
from hawkvision.repository import Repository, Rung, Task
from hawkvision.tasks.classification import softmax


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One rung of the data center, loaded."""

    rung: Rung
    engine: Engine
    min_side: int


class LargeModel:
    """A task's data-center rungs, loaded. `probabilities` may run on several threads at once.

    With several rungs, a middle one answers where its confidence reaches its threshold and hands
    the other images on.
    """

    def __init__(self, task: Task, engines: Sequence[Engine], limits: ImageLimits) -> None:
        self.task = task
        self._limits = limits
        self._rungs = [
            _Loaded(rung, engine, max(rung.geometry.width, rung.geometry.height))
            for rung, engine in zip(task.rungs[1:], engines, strict=True)
        ]

    @property
    def engine(self) -> Engine:
        """The engine of the last rung."""
        return self._rungs[-1].engine

    @classmethod
    def load(cls, task: Task, *, engine: str, limits: ImageLimits) -> LargeModel:
        """Open the rungs, check them against their digests and the labels, run each once.

        Raises RepositoryError or EngineError.
        """
        engines = []
        for rung in task.rungs[1:]:
            task.check_digest(rung)
            opened = open_engine(rung.model, name=engine, threads=1)
            size = (1, 3, rung.geometry.height, rung.geometry.width)
            logits = opened.infer(np.full(size, 128, np.uint8))
            if logits.shape != (1, len(task.labels)):
                raise EngineError(
                    f"task {task.name}: rung {rung.name!r} answers {logits.shape[-1]} classes, "
                    f"the task has {len(task.labels)} labels",
                    hint="Check task.toml against the model.",
                )
            engines.append(opened)
        return cls(task, engines, limits)

    def probabilities(
        self, images: Sequence[bytes], checkpoint: Callable[[], None]
    ) -> npt.NDArray[np.float32]:
        """Decode and classify: temperature-scaled probabilities float32 [N,K].

        `checkpoint` is called between the steps and may raise to give up. Raises the image
        errors, naming the image among several, or EngineError.
        """
        answer = np.empty((len(images), len(self.task.labels)), np.float32)
        waiting = np.arange(len(images))
        for loaded in self._rungs:
            pixels = self._pixels(images, waiting, loaded, checkpoint)
            checkpoint()
            logits = loaded.engine.infer(pixels.transpose(0, 3, 1, 2))
            chances = softmax(logits, loaded.rung.temperature)
            if not np.isfinite(chances).all():
                raise EngineError(
                    f"rung {loaded.rung.name!r} of {self.task.name} answered NaN or infinity",
                    hint="Check the model with `hawkvision models verify`.",
                )
            answer[waiting] = chances
            if loaded.rung.threshold is None:
                break
            waiting = waiting[chances.max(axis=1) < loaded.rung.threshold]
            if not len(waiting):
                break
        return answer

    def _pixels(
        self,
        images: Sequence[bytes],
        waiting: npt.NDArray[np.intp],
        loaded: _Loaded,
        checkpoint: Callable[[], None],
    ) -> npt.NDArray[np.uint8]:
        geometry = loaded.rung.geometry
        pixels = np.empty((len(waiting), geometry.height, geometry.width, 3), np.uint8)
        for place, index in enumerate(waiting):
            checkpoint()
            try:
                decoded = decode(images[index], self._limits, min_side=loaded.min_side)
                pixels[place] = fit(decoded, geometry)
            except InvalidRequest as error:
                if len(images) == 1:
                    raise
                message = f"image {index} of {len(images)}: {error.message}"
                raise type(error)(message, hint=error.hint) from error
        return pixels


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
