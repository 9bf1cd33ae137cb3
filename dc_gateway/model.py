"""The data-center rungs of one task, loaded: encoded images in, predictions out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from dc_gateway.config import GatewayConfig
from hawkvision.errors import InvalidRequest, RepositoryError
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository, Task
from hawkvision.rungs import LoadedRung

_log = logging.getLogger(__name__)


class LargeModel:
    """A task's data-center rungs, loaded. `predict` may run on several threads at once.

    With several rungs, a middle one answers where its confidence reaches its threshold and hands
    the other images on.
    """

    def __init__(self, task: Task, rungs: Sequence[LoadedRung], limits: ImageLimits) -> None:
        self.task = task
        self.rungs = tuple(rungs)
        self._limits = limits
        self._thresholds = [rung.threshold for rung in task.rungs[1:]]

    @property
    def agrees(self) -> bool:
        """Whether every rung answers its reference images as the certified engine did."""
        return all(rung.agreement.agree for rung in self.rungs)

    @classmethod
    def load(cls, task: Task, *, engine: str, limits: ImageLimits) -> LargeModel:
        """Open the rungs and run each over its reference images.

        Raises RepositoryError or EngineError.
        """
        references = task.references()
        rungs = []
        for rung in task.rungs[1:]:
            reference = None if references is None else references.rungs.get(rung.name)
            loaded = LoadedRung.open(rung, task.kind, engine=engine, reference=reference)
            if not loaded.agreement.agree:
                _log.warning(
                    "task %s, rung %s: this engine's answers differ from the certified ones by "
                    "%.3g (tolerated: %.3g); no answer is certified",
                    task.name,
                    rung.name,
                    loaded.agreement.deviation,
                    loaded.agreement.tolerance,
                )
            rungs.append(loaded)
        return cls(task, rungs, limits)

    def predict(self, images: Sequence[bytes], checkpoint: Callable[[], None]) -> list[Any]:
        """Decode and answer: one prediction of the task's kind for each image.

        `checkpoint` is called between the steps and may raise to give up. Raises the image
        errors, naming the image among several, or EngineError.
        """
        answers: list[Any] = [None] * len(images)
        waiting = list(range(len(images)))
        for rung, threshold in zip(self.rungs, self._thresholds, strict=True):
            prepared = []
            for index in waiting:
                checkpoint()
                try:
                    prepared.append(rung.prepare(images[index], self._limits))
                except InvalidRequest as error:
                    if len(images) == 1:
                        raise
                    message = f"image {index} of {len(images)}: {error.message}"
                    raise type(error)(message, hint=error.hint) from error
            checkpoint()
            for index, answer in zip(waiting, rung.predict(prepared), strict=True):
                answers[index] = answer
            if threshold is None:
                break
            waiting = [index for index in waiting if answers[index].confidence < threshold]
            if not waiting:
                break
        return answers


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
