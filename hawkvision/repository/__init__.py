"""The model repository: tasks by version, their rungs' files and digests, their calibration."""

from hawkvision.repository.paths import shipped_repository, updatable
from hawkvision.repository.references import References
from hawkvision.repository.repository import Repository
from hawkvision.repository.task import Numerics, Rung, Task, read_task, write_task

__all__ = [
    "Numerics",
    "References",
    "Repository",
    "Rung",
    "Task",
    "read_task",
    "shipped_repository",
    "updatable",
    "write_task",
]
