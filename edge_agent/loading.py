"""Open the tasks that an agent serves, the default one first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agent.config import EdgeConfig
from edge_agent.holding import rungs_held
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
    found = {name: repository.open(name, flavour=flavour_of(config.engine)) for name in names}
    held = rungs_held(config, found)
    tasks = {name: open_local(task, config, held[name]) for name, task in found.items()}
    memory.give_back()  # what reading and checking them took
    return tasks


class LocalSource:
    """The versions that an agent with these settings may serve; see `serving.reloading.Source`.

    `held` are the rungs of each task that the agent was started with: new versions have as many.
    """

    def __init__(self, config: EdgeConfig, held: Mapping[str, int]) -> None:
        self._config = config
        self._held = dict(held)

    def names(self) -> list[str]:
        """The tasks to be served. Raises RepositoryError."""
        return list(self._config.tasks) or self._repository().tasks()

    def versions(self, name: str) -> Sequence[Found]:
        """What lies there, newest first; of a task that is not to be served nothing."""
        if self._config.tasks and name not in self._config.tasks:
            return []
        return self._repository().stamps(name)

    def load(self, name: str, version: str) -> LocalTask:
        """Check every file's digest and open the rungs held here. Raises HawkVisionError."""
        config = self._config
        task = self._repository().good(name, version, flavour=flavour_of(config.engine))
        held = min(self._held.get(name) or rungs_held(config, {name: task})[name], len(task.rungs))
        return open_local(task, config, held)

    def _repository(self) -> Repository:
        return Repository(self._config.model_repository)


def open_local(task: Task, config: EdgeConfig, held: int) -> LocalTask:
    """A task with its first `held` rungs loaded. Raises HawkVisionError."""
    return LocalTask.load(
        below(task, config, held),
        engine=config.engine,
        limits=config.limits,
        delta=config.delta,
        rungs=held,
    )


def below(task: Task, config: EdgeConfig, held: int) -> Task:
    """A task of which so many rungs are held here, with the files that the gateway's engine takes.

    Raises RepositoryError.
    """
    if config.dc_flavour is None:
        return task
    return task.below("" if config.dc_flavour == PLAIN else config.dc_flavour, held)
