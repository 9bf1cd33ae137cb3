"""The data-center rungs of one task, loaded: encoded images in, predictions out."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dc_gateway.config import GatewayConfig
from hawkvision.engines import flavour_of
from hawkvision.errors import HawkVisionError, InvalidRequest, RepositoryError
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository, Task
from hawkvision.rungs import LoadedRung, Pixels
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
            say_disagreement(task, loaded)
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

    def prepare(self, rung: int, asked: Asked, ticket: Ticket) -> list[Any]:
        """The images that have no answer yet, as this rung takes them.

        Raises the image errors, naming the image among several, and DeadlineExceeded.
        """
        prepared: list[Pixels] = []
        for index in asked.open:
            ticket.check()
            try:
                pixels = self.rungs[rung].prepare(asked.images[index], self._limits, ticket.weigh)
            except InvalidRequest as error:
                if len(asked.images) == 1:
                    raise
                raise of_image(error, index, len(asked.images)) from error
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


def of_image(error: HawkVisionError, index: int, count: int) -> HawkVisionError:
    """The error, naming the image that it is of among several."""
    if count == 1 or not isinstance(error, InvalidRequest):
        return error
    return type(error)(f"image {index} of {count}: {error.message}", hint=error.hint)


def say_disagreement(task: Task, rung: LoadedRung) -> None:
    """Log it where a rung does not compute what was certified."""
    if not rung.agreement.agree:
        _log.warning(
            "task %s, rung %s: this engine's answers differ from the certified ones by "
            "%.3g (tolerated: %.3g); no answer is certified",
            task.name,
            rung.name,
            rung.agreement.deviation,
            rung.agreement.tolerance,
        )


def held_names(config: GatewayConfig, repository: Repository) -> list[str]:
    """The names of the tasks that are to be held here. Raises RepositoryError."""
    return list(config.tasks) or ([] if config.upstreams else repository.tasks())


def wanted_tasks(config: GatewayConfig) -> dict[str, Task]:
    """The tasks that are to be held here, by name. Raises HawkVisionError."""
    repository = Repository(config.model_repository)
    names = held_names(config, repository)
    if not names and not config.upstreams:
        raise RepositoryError(
            f"no tasks in {config.model_repository}", hint="See `hawkvision models list`."
        )
    return {name: repository.open(name, flavour=flavour_of(config.engine)) for name in names}


def load_models(
    config: GatewayConfig, tasks: Mapping[str, Task] | None = None
) -> dict[str, LargeModel]:
    """Open the rungs of these tasks, else of those wanted, by name. Raises HawkVisionError."""
    return {
        name: LargeModel.load(
            task, engine=config.engine, limits=config.limits, first_rung=config.first_rung
        )
        for name, task in (wanted_tasks(config) if tasks is None else tasks).items()
    }
