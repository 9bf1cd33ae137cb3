"""Keys of apps: who may send feedback for an app, change its target, and be counted as the app."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.parameters import parse_app
from hawkvision.errors import HawkVisionError, InvalidRequest, Unauthorized
from hawkvision.tracking.trust import name_of, vouched

_SHORTEST = 16
_HEADER = "Authorization"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the apps whose key it carries; None may act for every app."""

    apps: frozenset[str] | None

    def check(self, app: str) -> None:
        """Raise Unauthorized unless the caller may act for this app, by its own or counted name."""
        if self.apps is not None and name_of(app) not in self.apps:
            raise _needs_its_key(name_of(app))


_ANYBODY = Caller(None)


class AppKeys:
    """With no keys, every caller may do everything. A request says `Authorization: Bearer KEY`."""

    def __init__(self, keys: Mapping[str, str] | None) -> None:
        self._on = keys is not None
        self._salt = secrets.token_bytes(16)
        self._apps: dict[bytes, frozenset[str]] = {}
        for app, key in (keys or {}).items():
            digest = self._digest(key)
            self._apps[digest] = self._apps.get(digest, frozenset()) | {app}
        self.apps = frozenset(keys or ())
        """Those that have a key."""

    def _digest(self, key: str) -> bytes:
        """Looked up in place of the key: how long that takes says nothing of other keys."""
        sent = key.encode(errors="surrogateescape")
        return hashlib.blake2b(sent, key=self._salt, digest_size=16).digest()

    @classmethod
    def read(cls, path: Path | None) -> AppKeys:
        """From a JSON object of app and key; "" is for requests without an app.

        Raises HawkVisionError for an unreadable file, a name that no request can have, or a key of
        less than 16 characters.
        """
        if path is None:
            return cls(None)
        try:
            keys = {str(app): str(key) for app, key in json.loads(path.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise HawkVisionError(
                f"{path} holds no keys: {error}", hint='A JSON object, {"gate": "KEY"}.'
            ) from error
        for app, key in keys.items():
            if len(key) < _SHORTEST:
                raise HawkVisionError(
                    f"the key of app {app!r} has less than {_SHORTEST} characters",
                    hint="Make one with `openssl rand -hex 32`.",
                )
            try:
                _ = app and parse_app(app)
            except InvalidRequest as error:
                raise HawkVisionError(f"{path}: {error}", hint=error.hint) from error
        return cls(keys)

    def caller(self, authorization: str | None) -> Caller:
        """Who sends such an Authorization header. Raises Unauthorized for nobody that is known."""
        if not self._on:
            return _ANYBODY
        apps = self._of(authorization)
        if not apps:
            raise Unauthorized("this needs an app's key", hint="Send Authorization: Bearer KEY.")
        return Caller(apps)

    def counted(self, app: str | None, headers: Mapping[str, str]) -> str:
        """What a request that names `app`, or none, is counted as (see `tracking.trust`).

        With keys on, a key stands for its app also where the request names none. Raises
        Unauthorized where the named app has a key and the request does not carry it: answering as
        if it had named no app would hide from a camera that its key is wrong.
        """
        if not self._on:
            return app or ""
        apps = self._of(headers.get(_HEADER))
        if app is None:
            return vouched(min(apps)) if apps else ""
        if app in apps:
            return vouched(app)
        if app in self.apps:
            raise _needs_its_key(app)
        return app

    def names(self, app: str) -> tuple[str, ...]:
        """Under which names the requests of an app are counted."""
        if not self._on:
            return (app, vouched(app))
        return (vouched(app),) if app in self.apps else (app,)

    def _of(self, authorization: str | None) -> frozenset[str]:
        if not authorization:
            return frozenset()
        return self._apps.get(
            self._digest(authorization.removeprefix("Bearer ").strip()), frozenset()
        )


def _needs_its_key(app: str) -> Unauthorized:
    return Unauthorized(
        f"app {app!r} needs its key" if app else "requests without an app need the key of app ''",
        hint="Send Authorization: Bearer KEY.",
    )
