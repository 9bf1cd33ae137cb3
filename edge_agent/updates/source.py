"""Versions of tasks as an agent with updates sees them: its repository, and what is on trial."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.local import LocalTask
from hawkvision.repository.repository import folder_stamp, version_key
from hawkvision.serving.catalog import Found
from hawkvision.serving.reloading import Source


class TrialSource:
    """See `serving.reloading.Source`. A version on trial serves while it is `put` here."""

    def __init__(self, own: Source[LocalTask]) -> None:
        self._own = own
        self._candidates: dict[str, LocalTask] = {}

    def put(self, candidate: LocalTask) -> None:
        """Let a loaded version be the newest of its task."""
        self._candidates[candidate.task.name] = candidate

    def drop(self, name: str) -> None:
        """What lies in the repository is the newest again."""
        self._candidates.pop(name, None)

    def names(self) -> list[str]:
        """See `Source`."""
        return self._own.names()

    def versions(self, name: str) -> Sequence[Found]:
        """See `Source`."""
        found = list(self._own.versions(name))
        candidate = self._candidates.get(name)
        if candidate is None or any(version == candidate.version for version, _ in found):
            return found
        found.append((candidate.version, folder_stamp(candidate.task.folder)))
        return sorted(found, key=lambda one: version_key(one[0]), reverse=True)

    def load(self, name: str, version: str) -> LocalTask:
        """See `Source`; what is on trial is loaded already."""
        candidate = self._candidates.get(name)
        if candidate is not None and candidate.version == version:
            return candidate
        return self._own.load(name, version)
