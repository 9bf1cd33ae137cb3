"""A folder of `<task>/<version>/`; the newest good version of a task serves."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from hawkvision.errors import HawkVisionError, RepositoryError, UnknownTask
from hawkvision.repository.task import Task, read_task

_log = logging.getLogger(__name__)


def version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key under which 10 is newer than 9, and 1.10 newer than 1.9."""
    parts = re.findall(r"\d+|[^\d.]+", version)
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)


class Repository:
    """Reads tasks from a folder. Nothing is cached: what lies there now is what counts."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise RepositoryError(
                f"{root} is not a folder", hint="Give --model-repository a folder of tasks."
            )
        self.root = root

    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted({path.parent.parent.name for path in self.root.glob("*/*/task.toml")})

    def versions(self, task: str) -> list[str]:
        """Versions of a task, newest first. Raises UnknownTask."""
        found = [path.parent.name for path in self.root.glob(f"{_safe(task)}/*/task.toml")]
        if not found:
            known = ", ".join(self.tasks()) or "none"
            raise UnknownTask(f"no task {task[:80]!r}", hint=f"Tasks here: {known}.")
        return sorted(found, key=version_key, reverse=True)

    def stamps(self, task: str) -> list[tuple[str, tuple[object, ...]]]:
        """Versions of a task, newest first, none if there is no such task.

        Each with a stamp of its folder: equal for two looks between which no file in it changed.
        """
        try:
            versions = self.versions(task)
        except UnknownTask:
            return []
        found = ((version, folder_stamp(self.root / task / version)) for version in versions)
        return [(version, stamp) for version, stamp in found if stamp]

    def open(self, task: str, version: str | None = None, *, flavour: str = "") -> Task:
        """The newest version that reads well, or just `version`, in a flavour where it has it.

        Raises UnknownTask, or RepositoryError where no version is good.
        """
        versions = self.versions(task)
        if version is not None:
            if version not in versions:
                raise UnknownTask(
                    f"task {task!r} has no version {version[:40]!r}",
                    hint=f"It has {', '.join(versions)}.",
                )
            return self._read(task, version).as_flavour(flavour)
        faults: list[HawkVisionError] = []
        for candidate in versions:
            try:
                return self.good(task, candidate, flavour=flavour)
            except RepositoryError as error:
                _log.warning("skipping %s version %s: %s", task, candidate, error)
                faults.append(error)
        raise faults[0]

    def good(self, name: str, version: str, *, flavour: str = "") -> Task:
        """One version, its scores read and the digests of its files checked.

        Raises RepositoryError.
        """
        task = self._read(name, version).as_flavour(flavour)
        task.scores()
        for rung in task.rungs:
            if rung.present:
                rung.check_digest()
        return task

    def _read(self, name: str, version: str) -> Task:
        """One version, under the name that both it and its folder have. Raises RepositoryError."""
        task = read_task(self.root / name / version)
        if task.name != name:
            raise RepositoryError(
                f"{task.folder / 'task.toml'} names its task {task.name!r}, its folder {name!r}",
                hint="Rename the folder, or change `name` in task.toml, here and at the gateway.",
            )
        return task


def folder_stamp(folder: Path) -> tuple[object, ...]:
    """Which files lie in a folder, and in what state; empty where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.stat()) for entry in entries)
    except OSError:
        return ()
    return tuple((name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in found)


def _safe(name: str) -> str:
    """A task's name as it may stand in a glob; anything else matches nothing."""
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) else "."
