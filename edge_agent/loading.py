"""Open the tasks that an agent serves, the default one first."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from edge_agent.holding import rungs_held
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
    found = {name: repository.open(name, flavour=flavour_of(config.engine)) for name in names}
    held = rungs_held(config, found)
    tasks = {
        name: LocalTask.load(
            below(task, config, held[name]),
            engine=config.engine,
            limits=config.limits,
            delta=config.delta,
            rungs=held[name],
        )
        for name, task in found.items()
    }
    memory.give_back()  # what reading and checking them took
    return tasks


def below(task: Task, config: EdgeConfig, held: int) -> Task:
    """A task of which so many rungs are held here, with the files that the gateway's engine takes.

    Raises RepositoryError.
    """
    if config.dc_flavour is None:
        return task
    return task.below("" if config.dc_flavour == PLAIN else config.dc_flavour, held)
