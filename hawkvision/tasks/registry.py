"""Kinds of task by name: classification is built in, others register as entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from hawkvision.errors import RepositoryError
from hawkvision.tasks.base import TaskKind
from hawkvision.tasks.classification.kind import Classification

GROUP = "hawkvision.kinds"
DEFAULT = "classification"


def kind_named(name: str) -> type[TaskKind[Any, Any]]:
    """The class of a kind. Raises RepositoryError for an unknown or a broken one."""
    if name == DEFAULT:
        return Classification
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise RepositoryError(
            f"no kind of task is called {name[:40]!r}",
            hint=f"Known here: {', '.join(sorted({DEFAULT, *found}))}.",
        )
    try:
        kind: type[TaskKind[Any, Any]] = found[name].load()
    except (ImportError, AttributeError) as error:
        raise RepositoryError(
            f"the kind of task {name!r} cannot be loaded: {error}",
            hint="Install the package that brings it.",
        ) from error
    return kind
