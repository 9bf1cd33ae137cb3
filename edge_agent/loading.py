"""Open the tasks that an agent serves, the default one first."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from edge_agent.local import LocalTask
from hawkvision.engines import flavour_of
from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository, Task
from hawkvision.serving import memory

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


def open_task(repository: Repository, name: str, config: EdgeConfig) -> Task:
    """A task with the files that each side's engine takes. Raises UnknownTask, RepositoryError."""
    task = repository.open(name, flavour=flavour_of(config.engine))
    if config.dc_flavour is None:
        return task
    return task.below("" if config.dc_flavour == PLAIN else config.dc_flavour)
