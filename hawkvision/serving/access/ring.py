"""The keys in force: who sends a request, and whether it may. Knows no headers, files or clocks."""

from __future__ import annotations

import hmac
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hawkvision.errors import Forbidden, RateLimited, Unauthorized
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.rate import Meters, Rate
from hawkvision.serving.access.scopes import WITHOUT_A_KEY, Scope

PLACES = 1 << 16
"""Of meters that several processes share."""

_HINT = "Send Authorization: Bearer KEY."
_PREFIX = 8
_NOBODY = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the `key` by its id, None without one.

    `apps` are those that it may act for, None: every one. `reserved` are the apps that need a key
    of their own, None: every one.
    """

    key: str | None
    apps: frozenset[str] | None
    reserved: frozenset[str] | None = frozenset()

    def may(self, app: str) -> bool:
        """Whether it may act for this app."""
        return self.apps is None or app in self.apps

    def check(self, app: str) -> None:
        """Raise Unauthorized or Forbidden unless the caller may act for this app."""
        if not self.may(app):
            raise self.refused(app)

    def refused(self, app: str) -> Unauthorized | Forbidden:
        """The error for an app that it may not act for."""
        whose = f"app {app[:80]!r}" if app else "a request without an app"
        if self.key is None:
            return Unauthorized(f"{whose} needs its key", hint=_HINT)
        return Forbidden(
            f"key {self.key!r} may not act for {whose}",
            hint="Send the key of that app, or let the operator add it to this one's apps.",
        )


ANYBODY = Caller(None, None)
"""The caller where no keys are asked for."""


@dataclass(frozen=True, slots=True)
class _Entry:
    key: Key
    callers: Mapping[Scope, Caller]
    place: int


@dataclass(frozen=True, slots=True)
class _Held:
    """What one version of the file says; replaced as one."""

    entries: Mapping[bytes, _Entry]
    anonymous: _Entry
    apps: frozenset[str]
    every_app: bool


class KeyRing:
    """Without a file every caller may do everything. `meters` hold the rates' state.

    A lookup takes the first 8 bytes of a hash, and compares the rest in constant time.
    """

    def __init__(self, found: KeyFile | None, meters: Meters | None = None) -> None:
        self.on = found is not None
        self._meters: Meters = defaultdict(float) if meters is None else meters
        self._held = _held(found or KeyFile())

    def replace(self, found: KeyFile) -> None:
        """From now on these; may be called from any thread."""
        self._held = _held(found)

    @property
    def apps(self) -> frozenset[str]:
        """Those that a key names."""
        return self._held.apps

    @property
    def every_app(self) -> bool:
        """Whether some key is for every app."""
        return self._held.every_app

    @property
    def anonymous(self) -> frozenset[Scope]:
        """What requests without a key may do."""
        return self._held.anonymous.key.scopes

    def admit(self, sent: str | None, scope: Scope, *, wall_s: float, now: float) -> Caller:
        """Who sends this key, or none, if it may; `wall_s` since the epoch, `now` monotonic.

        Raises Unauthorized without a key that is known and in force, Forbidden without the scope,
        RateLimited above the key's rate.
        """
        if not self.on:
            return ANYBODY
        held = self._held
        entry = held.anonymous if sent is None else self._known(held, sent, wall_s)
        caller = entry.callers.get(scope)
        if caller is None:
            if sent is None:
                raise Unauthorized(f"this needs a key with the scope {scope}", hint=_HINT)
            raise Forbidden(
                f"key {entry.key.id!r} has not the scope {scope}",
                hint=f"It takes a key that `hawkvision keys create --scope {scope}` makes.",
            )
        if entry.key.rate is not None:
            self._count(entry, entry.key.rate, now)
        return caller

    def _known(self, held: _Held, sent: str, wall_s: float) -> _Entry:
        digest = digest_of(sent)
        entry = held.entries.get(digest[:_PREFIX])
        if entry is None or not hmac.compare_digest(entry.key.digest, digest):
            raise Unauthorized("this key is not known here", hint=_HINT)
        why = entry.key.refusal(wall_s)
        if why is not None:
            raise Unauthorized(
                f"key {entry.key.id!r} {why}", hint="Send another one; the operator makes keys."
            )
        return entry

    def _count(self, entry: _Entry, rate: Rate, now: float) -> None:
        full_at, wait_s = rate.take(self._meters[entry.place], now)
        if wait_s > 0:
            whose = f"key {entry.key.id!r}" if entry.key.id else "requests without a key"
            raise RateLimited(
                f"{whose}: more than {rate.per_s:g} requests a second",
                retry_after_s=math.ceil(wait_s),
                hint="Send fewer, or ask the operator for a higher rate.",
            )
        self._meters[entry.place] = full_at


def _held(found: KeyFile) -> _Held:
    named = [one.apps for one in found.keys if not one.disabled]
    apps = frozenset(app for some in named if some is not None for app in some)
    nobody = Key(_NOBODY, b"", found.anonymous, None, found.anonymous_rate)
    places = _places(one.id for one in (*found.keys, nobody))
    anonymous = {scope: Caller(None, _open(scope), apps) for scope in found.anonymous}
    return _Held(
        {
            one.digest[:_PREFIX]: _Entry(
                one, {**anonymous, **_callers(one, found.anonymous, apps)}, places[one.id]
            )
            for one in found.keys
        },
        _Entry(nobody, anonymous, places[_NOBODY]),
        apps,
        None in named,
    )


def _open(scope: Scope) -> frozenset[str] | None:
    """What apps somebody without a key may act for: to read, all; else none that has a key."""
    return None if scope in (Scope.READ, Scope.METRICS) else frozenset()


def _callers(key: Key, anonymous: frozenset[Scope], apps: frozenset[str]) -> dict[Scope, Caller]:
    """A key may do what it says, and what anybody may without one."""
    found = {}
    for scope in key.scopes | anonymous:
        free = scope in anonymous and scope in WITHOUT_A_KEY
        whose = None if free and _open(scope) is None else key.apps
        if scope in key.scopes or free:
            found[scope] = Caller(key.id, whose, apps if free else None)
    return found


def _places(ids: Iterable[str]) -> dict[str, int]:
    """A place for each, the same in every process that has the same keys."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(ids):
        place = int.from_bytes(digest_of(name)[:4]) % PLACES
        while place in taken:
            place = (place + 1) % PLACES
        taken.add(place)
        found[name] = place
    return found
