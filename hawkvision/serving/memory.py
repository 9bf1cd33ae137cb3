"""Memory that was freed, back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


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
