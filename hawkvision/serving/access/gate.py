"""What a door asks of whoever knows the keys; and of a service without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hawkvision.errors import Forbidden, HawkVisionError, RateLimited, Unauthorized
from hawkvision.serving.access.audit import AuditLog
from hawkvision.serving.access.caller import enter
from hawkvision.serving.access.ring import ANYBODY, Caller
from hawkvision.serving.access.scopes import Scope

DENIALS = (Unauthorized, Forbidden, RateLimited)


class Gate(Protocol):
    """One for all doors of a service."""

    audit: AuditLog

    @property
    def on(self) -> bool:
        """Whether keys are asked for; never changes."""
        ...

    def admit(self, headers: Mapping[str, str], scope: Scope, peer: str, what: str) -> Caller:
        """Who sends a request with these headers. Raises one of `DENIALS`, and notes it."""
        ...

    def denied(self, error: HawkVisionError, key: str | None, peer: str, what: str) -> None:
        """Note that somebody was refused."""
        ...

    def enter(self, caller: Caller) -> None:
        """The current task answers a request of this caller."""
        ...


class Open:
    """The gate of a service that knows no keys: everybody may do everything that there is."""

    on = False

    def __init__(self) -> None:
        self.audit = AuditLog(None)

    def admit(self, headers: Mapping[str, str], scope: Scope, peer: str, what: str) -> Caller:
        """See `Gate`."""
        return ANYBODY

    def denied(self, error: HawkVisionError, key: str | None, peer: str, what: str) -> None:
        """See `Gate`."""

    def enter(self, caller: Caller) -> None:
        """See `Gate`."""
        enter(caller)
