"""Keys at all doors of a service: what a request shows, who sends it, what is noted of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hawkvision.errors import Forbidden, HawkVisionError, RateLimited, Unauthorized
from hawkvision.serving.access.app_keys import parse_app_keys
from hawkvision.serving.access.audit import AuditLog
from hawkvision.serving.access.files import KeyWatch, mark_of, read_keys
from hawkvision.serving.access.keyfile import parse_keys
from hawkvision.serving.access.rate import Meters
from hawkvision.serving.access.ring import ANYBODY, Caller, KeyRing
from hawkvision.serving.access.scopes import Scope

_CALLER: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)
"""Of the request that the current task answers; aiohttp has a task for each connection."""

DENIALS = (Unauthorized, Forbidden, RateLimited)
_LOOK_S = 1.0
ITSELF = "itself"
"""The peer of what the agent does unasked, in the audit log."""


def current_caller() -> Caller:
    """Who sent the request that is being answered."""
    return _CALLER.get()


def sent_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request shows: `X-API-Key: KEY`, else `Authorization: Bearer KEY`.

    Names of `headers` are in small letters, or their case does not matter.
    """
    key = headers.get("x-api-key")
    if key is not None:
        return key.strip()
    sent = headers.get("authorization")
    if sent is None:
        return None
    scheme, _, key = sent.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else sent


Work = Callable[[], Coroutine[Any, Any, None]]


class Jobs(Protocol):
    """What runs work beside the requests."""

    def start(self, name: str, work: Work) -> None:
        """Once."""
        ...

    def repeat(self, name: str, work: Work, every_s: float) -> None:
        """Again and again."""
        ...


class Guard:
    """One for all doors of an agent: the keys in force, and the audit log.

    `files` are the file of keys and the older one of apps' keys, of which there is one at most.
    With `meters` the rates are those of several processes together. Raises HawkVisionError for a
    file that cannot be read.
    """

    def __init__(
        self,
        keys: Path | None,
        app_keys: Path | None = None,
        audit: AuditLog | None = None,
        meters: Meters | None = None,
    ) -> None:
        if keys is not None and app_keys is not None:
            raise HawkVisionError(
                "--keys and --app-keys are both given", hint="Put the apps' keys into --keys."
            )
        path, parse = (app_keys, parse_app_keys) if keys is None else (keys, parse_keys)
        self.audit = audit or AuditLog(None)
        seen = None if path is None else mark_of(path)
        self.ring = KeyRing(None if path is None else read_keys(path, parse), meters)
        self._watch = (
            None if path is None else KeyWatch(path, parse, self.ring, self._reloaded, seen)
        )

    @property
    def on(self) -> bool:
        """Whether keys are asked for; never changes."""
        return self.ring.on

    def admit(self, headers: Mapping[str, str], scope: Scope, peer: str, what: str) -> Caller:
        """Who sends a request with these headers. Raises what `KeyRing.admit` does, and notes it.

        `what` names the route or the method.
        """
        if not self.ring.on:
            return ANYBODY
        sent = sent_key(headers)
        try:
            return self.ring.admit(sent, scope, wall_s=time.time(), now=time.monotonic())
        except DENIALS as error:
            self.denied(error, None, peer, what)
            raise

    def denied(self, error: HawkVisionError, key: str | None, peer: str, what: str) -> None:
        """Note that somebody was refused."""
        self.audit.denied(key=key, peer=peer, what=what, code=error.code, why=error.message)

    def enter(self, caller: Caller) -> None:
        """The current task answers a request of this caller."""
        _CALLER.set(caller)

    def watch(self, jobs: Jobs) -> None:
        """Take over what changes in the file of keys, within a second or two."""
        if self._watch is not None:
            jobs.repeat("keys", partial(asyncio.to_thread, self._watch.look), _LOOK_S)

    def reload(self, jobs: Jobs) -> None:
        """Take over what the file of keys says, soon."""
        if self._watch is not None:
            jobs.start("keys", partial(asyncio.to_thread, self._watch.look, anyway=True))

    def _reloaded(self, taken: bool, said: str) -> None:
        event = "keys.reloaded" if taken else "keys.broken"
        self.audit.note(event, key=None, peer=ITSELF, why=said)
