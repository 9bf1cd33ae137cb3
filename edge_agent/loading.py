"""Open the tasks that an agent serves, the default one first."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.config import EdgeConfig
from edge_agent.local import LocalTask
from hawkvision.engines import flavour_of
from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository, Task
from hawkvision.serving import memory
from hawkvision.serving.catalog import Found

PLAIN = "plain"
"""What `--dc-flavour` calls the files that suit any engine."""

_PREFERRED_DEFAULT = "roadsigns"


def load_tasks(config: EdgeConfig) -> dict[str, LocalTask]:
    """Open every wanted task; this takes a moment for each. Raises HawkVisionError."""
    repository = Repository(config.model_repository)
    names = list(config.tasks) or repository.tasks()
    if not names:
        raise RepositoryError(
            f"no tasks in {config.model_repository}", hint="See `hawkvision models list`."
        )
    if not config.tasks and _PREFERRED_DEFAULT in names:
        names.sort(key=lambda name: name != _PREFERRED_DEFAULT)
    tasks = {
        name: LocalTask.load(
            open_task(repository, name, config),
            engine=config.engine,
            limits=config.limits,
            delta=config.delta,
        )
        for name in names
    }
    memory.give_back()  # what reading and checking them took
    return tasks


class LocalSource:
    """The versions that an agent with these settings may serve; see `serving.reloading.Source`."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config

    def names(self) -> list[str]:
        """The tasks to be served. Raises RepositoryError."""
        return list(self._config.tasks) or self._repository().tasks()

    def versions(self, name: str) -> Sequence[Found]:
        """What lies there, newest first; of a task that is not to be served nothing."""
        if self._config.tasks and name not in self._config.tasks:
            return []
        return self._repository().stamps(name)

    def load(self, name: str, version: str) -> LocalTask:
        """Check every file's digest and open the edge rung. Raises HawkVisionError."""
        config = self._config
        task = open_task(self._repository(), name, config, version)
        return LocalTask.load(task, engine=config.engine, limits=config.limits, delta=config.delta)

    def _repository(self) -> Repository:
        return Repository(self._config.model_repository)


def open_task(
    repository: Repository, name: str, config: EdgeConfig, version: str | None = None
) -> Task:
    """A task with the files that each side's engine takes: the newest good version, or `version`.

    Raises UnknownTask, RepositoryError.
    """
    flavour = flavour_of(config.engine)
    if version is None:
        task = repository.open(name, flavour=flavour)
    else:
        task = repository.good(name, version, flavour=flavour)
    if config.dc_flavour is None:
        return task
    return task.below("" if config.dc_flavour == PLAIN else config.dc_flavour)
