"""What all users of a load test share: the task, its targets and the images. Knows no Locust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hawkvision.client import Client
from hawkvision.contract.task import TaskInfo
from hawkvision.errors import DatasetError, InvalidRequest, UnknownTask
from loadtest.accuracy import spread
from loadtest.traffic import TrafficImage, TrafficSettings, load_traffic

_PREFIX = "HAWKVISION_LOADTEST_"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """`targets` are shares; `aliases` map a folder's name to a label."""

    task: str
    aliases: Mapping[str, str]
    targets: tuple[float, ...]
    images: tuple[TrafficImage, ...]

    @classmethod
    def make(cls, host: str | None, environment: Mapping[str, str]) -> Plan:
        """Ask the agent at `host`, and draw or read the images.

        Raises HawkVisionError: no host, no agent there, no such task, images that are not its own.
        """
        if not host:
            raise InvalidRequest(
                "no agent is named", hint="Give --host, for example --host http://127.0.0.1:8080."
            )
        with Client(host) as client:
            task = _chosen(client.tasks(), environment.get(_PREFIX + "TASK"))
        settings = TrafficSettings.from_environment(environment)
        images = tuple(load_traffic(settings))
        _check(task, images, settings)
        return cls(task.name, task.aliases, _targets(task, environment), images)


def _chosen(tasks: Sequence[TaskInfo], name: str | None) -> TaskInfo:
    for task in tasks:
        if name in (None, task.name):
            return task
    known = ", ".join(task.name for task in tasks)
    raise UnknownTask(
        f"the agent has no task {name!r}", hint=f"Set {_PREFIX}TASK to one of: {known}."
    )


def _targets(task: TaskInfo, environment: Mapping[str, str]) -> tuple[float, ...]:
    given = environment.get(_PREFIX + "TARGETS")
    if not given:
        return tuple(spread(task.highest_certifiable))
    try:
        return tuple(float(part) for part in given.split(","))
    except ValueError as error:
        raise InvalidRequest(
            f"{_PREFIX}TARGETS: {error}", hint="Give shares with commas between, 0.80,0.90."
        ) from error


def _check(task: TaskInfo, images: Sequence[TrafficImage], settings: TrafficSettings) -> None:
    """Raise DatasetError where no answer could be right: images of another task."""
    where = "the drawn road signs" if settings.data is None else str(settings.data)
    if not images:
        raise DatasetError(f"no images in {where}", hint=f"See {_PREFIX}DATA and _SPLIT.")
    strange = sorted({image.label for image in images} - {*task.labels, *task.aliases})
    if task.labels and strange:
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        raise DatasetError(
            f"{where}: no labels of task {task.name}: {', '.join(strange[:_NAMED])}{more}",
            hint=f"Set {_PREFIX}DATA to images of {task.name}, or {_PREFIX}TASK to their task.",
        )
