"""Load and unload for a service of several workers: whichever is asked, all of them do it."""

from __future__ import annotations

import contextlib
import logging

from edge_agent.http.siblings import Siblings
from edge_agent.place import Place
from hawkvision.errors import VersionUnavailable
from hawkvision.serving.calls import CallsFailed
from hawkvision.serving.control import ModelControl, VersionStatus

_log = logging.getLogger(__name__)
_WITHIN_S = 300.0
LOAD, UNLOAD = "load", "unload"
CHANGED = "tasks.changed"
"""To the parent: `[task, whether it serves]`. Workers that it starts later load for themselves."""


class CrewControl:
    """See `ModelControl`. This worker goes first: what cannot serve here is not tried elsewhere."""

    def __init__(self, own: ModelControl, siblings: Siblings, place: Place) -> None:
        self._own = own
        self._siblings = siblings
        self._place = place

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """Of this worker; the others are told to do the same."""
        return self._own.index(ready=ready)

    async def load(self, name: str) -> None:
        """Raises VersionUnavailable also where one of the others cannot: it keeps what it has."""
        await self._own.load(name)
        await self._all(LOAD, name, serves=True)

    async def unload(self, name: str) -> None:
        """See `ModelControl`."""
        await self._own.unload(name)
        await self._all(UNLOAD, name, serves=False)

    async def _all(self, what: str, name: str, *, serves: bool) -> None:
        with contextlib.suppress(CallsFailed):  # the parent ends, and all of us with it
            await self._place.calls.call(CHANGED, [name, serves])
        refused = await self._siblings.tell(what, name, _WITHIN_S)
        for index, said in refused.items():
            _log.warning("worker %d did not %s task %s: %s", index, what, name, said)
        if refused and serves:
            workers = ", ".join(map(str, sorted(refused)))
            raise VersionUnavailable(
                f"workers {workers} of {self._place.count} could not load task {name[:80]!r}",
                hint="They keep the version that they have; the log says why.",
            )
