"""Whether a release is newer than what is here, and taking it into a repository at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hawkvision.repository.repository import version_key
from hawkvision.repository.task import Task
from hawkvision.updates.client import Look
from hawkvision.updates.release import Release

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


def newest_here(repository: Path, task: str) -> str | None:
    """The newest version of a task that lies in a repository."""
    if not _NAME.fullmatch(task):
        return None
    found = [path.parent.name for path in repository.glob(f"{task}/*/task.toml")]
    return max(found, key=version_key, default=None)


def is_newer(release: Release, here: str | None) -> bool:
    """Whether it is newer than the version that is here; anything is where there is none."""
    return here is None or version_key(release.version) > version_key(here)


def take(look: Look, task: str, repository: Path, check: Callable[[Task], None]) -> Release | None:
    """Fetch the release of a task into a repository, checked; None where nothing is newer there.

    Raises HawkVisionError for one that must not serve.
    """
    release = look.release(task)
    here = newest_here(repository, task)
    if release is None or not is_newer(release, here):
        return None
    have = repository / task / here if here else None
    look.fetch(release, repository, check, have=have)
    return release
