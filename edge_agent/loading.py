"""Open the tasks that an agent serves, the default one first."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from edge_agent.local import LocalTask
from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository
from hawkvision.serving import memory

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
            repository.open(name), engine=config.engine, limits=config.limits, delta=config.delta
        )
        for name in names
    }
    memory.give_back()  # what reading and checking them took
    return tasks
