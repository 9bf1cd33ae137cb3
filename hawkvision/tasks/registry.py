"""Kinds of task by name: classification is built in, others register as entry points."""

from __future__ import annotations

from typing import Any

from hawkvision import extensions
from hawkvision.errors import RepositoryError
from hawkvision.tasks.base import TaskKind
from hawkvision.tasks.classification.kind import Classification

DEFAULT = "classification"


def kind_named(name: str) -> type[TaskKind[Any, Any]]:
    """The class of a kind. Raises RepositoryError for an unknown or a broken one."""
    if name == DEFAULT:
        return Classification
    try:
        kind: type[TaskKind[Any, Any]] = extensions.load(extensions.KINDS, name)
    except KeyError as error:
        known = sorted({DEFAULT, *extensions.registered(extensions.KINDS)})
        raise RepositoryError(
            f"no kind of task is called {name[:40]!r}", hint=f"Known here: {', '.join(known)}."
        ) from error
    except (ImportError, AttributeError) as error:
        raise RepositoryError(
            f"the kind of task {name!r} cannot be loaded: {error}",
            hint="Install the package that brings it.",
        ) from error
    return kind
