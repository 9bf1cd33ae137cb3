"""Who sent the request that the current task answers."""

from __future__ import annotations

from contextvars import ContextVar

from hawkvision.serving.access.ring import ANYBODY, Caller

_CALLER: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)
"""Of the request that the current task answers; aiohttp has a task for each connection."""


def current_caller() -> Caller:
    """Who sent the request that is being answered."""
    return _CALLER.get()


def enter(caller: Caller) -> None:
    """The current task answers a request of this caller."""
    _CALLER.set(caller)
