"""What doors may ask of the tasks behind them: the index, load and unload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hawkvision.errors import NotSupported


class VersionState(StrEnum):
    """Of a version, in the words of the Open Inference Protocol's model repository extension."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One row of the index; `reason` says why a version is not ready, in words for people."""

    name: str
    version: str
    state: VersionState
    reason: str = ""

    def as_dict(self) -> dict[str, str]:
        """As the protocol's index has it."""
        return {
            "name": self.name,
            "version": self.version,
            "state": self.state.value,
            "reason": self.reason,
        }


class ModelControl(Protocol):
    """The tasks of one service. Use it within the service's event loop."""

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """Every version that is known, or those alone that are ready; sorted by name."""
        ...

    async def load(self, name: str) -> None:
        """Load the task's newest version, and return when it serves; one that serves is kept.

        Raises UnknownTask where the repository has no such task, and VersionUnavailable, with the
        reason, where the newest version cannot serve: what served before goes on.
        """
        ...

    async def unload(self, name: str) -> None:
        """Serve the task no more, be it the last one; calls in flight are answered.

        Raises UnknownTask.
        """
        ...


class IndexOnly(ModelControl):
    """What `control` has may be listed; whoever asks to change it is refused."""

    def __init__(self, control: ModelControl) -> None:
        self._control = control

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """See `ModelControl`."""
        return self._control.index(ready=ready)

    async def load(self, name: str) -> None:
        """Raises NotSupported, always."""
        raise _fixed()

    async def unload(self, name: str) -> None:
        """Raises NotSupported, always."""
        raise _fixed()


def _fixed() -> NotSupported:
    return NotSupported(
        "clients do not load or unload models here",
        hint="Start the service with --model-control, or send it SIGHUP to look for new versions.",
    )
