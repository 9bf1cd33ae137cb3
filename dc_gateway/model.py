"""The data-center rungs of one task, loaded: encoded images in, predictions out."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dc_gateway.config import GatewayConfig
from hawkvision.engines import flavour_of
from hawkvision.errors import InvalidRequest, RepositoryError
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository, Task
from hawkvision.rungs import LoadedRung, Pixels
from hawkvision.serving.catalog import Found
from hawkvision.serving.job import Ticket

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked:
    """A call's images and their answers; those in `open` go to the next rung.

    `places` are those of the rungs that answered, in the task.
    """

    images: Sequence[bytes]
    answers: list[Any]
    places: list[int]
    open: list[int]

    @classmethod
    def all_of(cls, images: Sequence[bytes]) -> Asked:
        """None answered yet."""
        count = len(images)
        return cls(images, [None] * count, [0] * count, list(range(count)))


class LargeModel:
    """A task's data-center rungs, loaded. `predict` may run on several threads at once.

    With several rungs, a middle one answers where its confidence reaches its threshold and hands
    the other images on. `first` is the place in the task of the first rung that is held here.
    """

    def __init__(
        self, task: Task, rungs: Sequence[LoadedRung], limits: ImageLimits, first: int = 1
    ) -> None:
        self.task = task
        self.version = task.version
        self.rungs = tuple(rungs)
        self._freed = [weakref.finalize(self, rung.close) for rung in self.rungs]
        for freed in self._freed:
            freed.atexit = False
        self.first = first
        self._limits = limits
        self._thresholds = [rung.threshold for rung in task.rungs[first:]]

    def start(self, from_rung: int) -> int:
        """Which of `rungs` begins where a place in the task is asked for: that one, or the next."""
        return max(0, from_rung - self.first)

    def close(self) -> None:
        """Free the networks, whoever still uses them; done by itself when nobody does any more."""
        for freed in self._freed:
            freed()

    @property
    def agrees(self) -> bool:
        """Whether every rung answers its reference images as the certified engine did."""
        return all(rung.agreement.agree for rung in self.rungs)

    @classmethod
    def load(
        cls, task: Task, *, engine: str, limits: ImageLimits, first_rung: int = 1
    ) -> LargeModel:
        """Open the rungs from a place on, the last one always; run each over its reference images.

        Raises RepositoryError or EngineError.
        """
        references = task.references()
        first = min(first_rung, len(task.rungs) - 1)
        rungs = []
        for rung in task.rungs[first:]:
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
        return cls(task, rungs, limits, first)

    def predict(self, images: Sequence[bytes], ticket: Ticket, start: int = 0) -> Asked:
        """Decode and answer here and now, from one of `rungs` on.

        Raises the image errors, naming the image among several, EngineError, or DeadlineExceeded.
        """
        state = Asked.all_of(images)
        for rung in range(start, len(self.rungs)):
            prepared = self.prepare(rung, state, ticket)
            ticket.check()
            if not self.take_in(rung, state, self.rungs[rung].predict(prepared)):
                break
        return state

    def prepare(self, rung: int, asked: Asked, ticket: Ticket) -> list[Pixels]:
        """The images that have no answer yet, as this rung takes them.

        Raises the image errors, naming the image among several, and DeadlineExceeded.
        """
        prepared = []
        for index in asked.open:
            ticket.check()
            try:
                pixels = self.rungs[rung].prepare(asked.images[index], self._limits, ticket.weigh)
            except InvalidRequest as error:
                if len(asked.images) == 1:
                    raise
                message = f"image {index} of {len(asked.images)}: {error.message}"
                raise type(error)(message, hint=error.hint) from error
            prepared.append(pixels)
        return prepared

    def take_in(self, rung: int, asked: Asked, answers: Sequence[Any]) -> bool:
        """Note this rung's answers; whether any image goes on to the next one."""
        for index, answer in zip(asked.open, answers, strict=True):
            asked.answers[index] = answer
            asked.places[index] = self.first + rung
        threshold = self._thresholds[rung]
        if threshold is None:
            return False
        asked.open = [i for i in asked.open if asked.answers[i].confidence < threshold]
        return bool(asked.open) and rung + 1 < len(self.rungs)


class ModelSource:
    """The versions that a gateway with these settings may serve; see `serving.reloading.Source`."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config

    def names(self) -> list[str]:
        """The tasks to be served. Raises RepositoryError."""
        return list(self._config.tasks) or self._repository().tasks()

    def versions(self, name: str) -> Sequence[Found]:
        """What lies there, newest first; of a task that is not to be served nothing."""
        if self._config.tasks and name not in self._config.tasks:
            return []
        return self._repository().stamps(name)

    def load(self, name: str, version: str) -> LargeModel:
        """Check every file's digest and open the rungs. Raises HawkVisionError."""
        config = self._config
        task = self._repository().good(name, version, flavour=flavour_of(config.engine))
        return LargeModel.load(task, engine=config.engine, limits=config.limits)

    def _repository(self) -> Repository:
        return Repository(self._config.model_repository)


def load_models(config: GatewayConfig) -> dict[str, LargeModel]:
    """Open the large rung of every wanted task, by task name. Raises HawkVisionError."""
    repository = Repository(config.model_repository)
    names = list(config.tasks) or repository.tasks()
    if not names:
        raise RepositoryError(
            f"no tasks in {config.model_repository}", hint="See `hawkvision models list`."
        )
    return {
        name: LargeModel.load(
            repository.open(name, flavour=flavour_of(config.engine)),
            engine=config.engine,
            limits=config.limits,
            first_rung=config.first_rung,
        )
        for name in names
    }
