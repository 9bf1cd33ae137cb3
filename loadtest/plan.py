"""What all users of a load test share: the task, its targets and the images. Knows no Locust."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from hawkvision.client import Client
from hawkvision.contract.answer import Answer
from hawkvision.contract.task import TaskInfo
from hawkvision.errors import DatasetError, InvalidRequest, UnknownTask
from loadtest.accuracy import spread
from loadtest.mix import Mix
from loadtest.options import Settings
from loadtest.traffic import TrafficImage, TrafficSettings, load_traffic

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """One request: its path and query, what it asks for, and the image with its right answer."""

    path: str
    target: float
    deadline_ms: float | None
    image: bytes
    wanted: str

    def right(self, answer: Answer) -> bool:
        """Whether an answer names the image's class."""
        return answer.label == self.wanted


@dataclass(frozen=True, slots=True)
class Plan:
    """`targets` are shares; `aliases` map a folder's name to a label."""

    task: str
    aliases: Mapping[str, str]
    targets: Mix[float]
    deadlines: Mix[float] | None
    app: str | None
    images: tuple[TrafficImage, ...]

    @classmethod
    def make(cls, host: str | None, settings: Settings) -> Plan:
        """Ask the agent at `host`, and draw or read the images.

        Raises HawkVisionError: no host, no agent there, no such task, images that are not its own.
        """
        if not host:
            raise InvalidRequest(
                "no agent is named", hint="Give --host, for example --host http://127.0.0.1:8080."
            )
        with Client(host, ca=settings.ca, key=settings.api_key) as client:
            task = _chosen(client.tasks(), settings.task)
        images = tuple(load_traffic(settings.traffic))
        _check(task, images, settings.traffic)
        targets = settings.targets or Mix.of(
            (target, 1.0) for target in spread(task.highest_certifiable)
        )
        return cls(task.name, task.aliases, targets, settings.deadlines, settings.app, images)

    def ask(self, image: TrafficImage, rng: random.Random) -> Question:
        """What to send next for this image."""
        target = self.targets.draw(rng)
        deadline_ms = None if self.deadlines is None else self.deadlines.draw(rng)
        asked: dict[str, object] = {"accuracy": target, "task": self.task}
        if deadline_ms is not None:
            asked["deadline_ms"] = deadline_ms
        if self.app is not None:
            asked["app"] = self.app
        wanted = self.aliases.get(image.label, image.label)
        path = f"/v1/classify?{urlencode(asked)}"
        return Question(path, target, deadline_ms, image.data, wanted)


def _chosen(tasks: Sequence[TaskInfo], name: str | None) -> TaskInfo:
    for task in tasks:
        if name in (None, task.name):
            return task
    known = ", ".join(task.name for task in tasks)
    raise UnknownTask(f"the agent has no task {name!r}", hint=f"Set --task to one of: {known}.")


def _check(task: TaskInfo, images: Sequence[TrafficImage], settings: TrafficSettings) -> None:
    """Raise DatasetError where no answer could be right: images of another task."""
    where = "the drawn road signs" if settings.data is None else str(settings.data)
    if not images:
        raise DatasetError(f"no images in {where}", hint="See --data and --split.")
    strange = sorted({image.label for image in images} - {*task.labels, *task.aliases})
    if task.labels and strange:
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        raise DatasetError(
            f"{where}: no labels of task {task.name}: {', '.join(strange[:_NAMED])}{more}",
            hint=f"Set --data to images of {task.name}, or --task to their task.",
        )
