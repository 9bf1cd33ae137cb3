"""Memory that was freed, back to the system."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from functools import cache

EVERY_S = 5.0
"""How often it is looked whether there is something to give back, seconds."""

_MUCH = 32 * 1024 * 1024
"""So many bytes were freed before it is worth while."""


@cache
def _trim() -> Callable[[int], int] | None:
    """malloc_trim(3), which glibc alone has."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return found


def give_back() -> None:
    """Return free pages of every arena to the system; a few ms for each 100 MB, in any thread.

    After large blocks were freed glibc keeps them for itself otherwise.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


class GivesBack:
    """Gives memory back once much of it was freed; `freed` counts bytes since the start."""

    def __init__(self, freed: Callable[[], int]) -> None:
        self._freed = freed
        self._seen = 0

    async def look(self) -> None:
        """To be called every `EVERY_S`; the work is done on another thread."""
        freed = self._freed()
        if freed - self._seen >= _MUCH:
            self._seen = freed
            await asyncio.to_thread(give_back)

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()
