"""The plainest `ModelControl`: what was loaded at the start serves until the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hawkvision.errors import NotSupported, UnknownTask
from hawkvision.serving.control import ModelControl, VersionState, VersionStatus

Draining = Callable[[], bool]


class Resident(ModelControl):
    """`versions` are names and versions of what serves; while `draining` nothing is ready."""

    def __init__(self, versions: Iterable[tuple[str, str]], draining: Draining) -> None:
        self._versions = sorted(versions)
        self._draining = draining

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """See `ModelControl`."""
        if self._draining():
            state, reason = VersionState.UNAVAILABLE, "the service is draining"
        else:
            state, reason = VersionState.READY, ""
        rows = [VersionStatus(name, version, state, reason) for name, version in self._versions]
        return [row for row in rows if not ready or row.state is VersionState.READY]

    async def load(self, name: str) -> None:
        """Raises UnknownTask or NotSupported, always."""
        raise self._refusal(name)

    async def unload(self, name: str) -> None:
        """Raises UnknownTask or NotSupported, always."""
        raise self._refusal(name)

    def _refusal(self, name: str) -> UnknownTask | NotSupported:
        if name not in {one for one, _ in self._versions}:
            return UnknownTask(f"no model {name[:80]!r}", hint="See the repository's index.")
        return NotSupported(
            "models are loaded when the service starts", hint="Start it again with other ones."
        )
