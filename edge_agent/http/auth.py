"""Keys of apps: who may send feedback for an app and change its target."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import HawkVisionError, Unauthorized

_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the apps whose key it carries; None may act for every app."""

    apps: frozenset[str] | None

    def check(self, app: str) -> None:
        """Raise Unauthorized unless the caller may act for this app."""
        if self.apps is not None and app not in self.apps:
            raise Unauthorized(f"app {app!r} needs its key", hint="Send Authorization: Bearer KEY.")


_ANYBODY = Caller(None)


class AppKeys:
    """With no keys, every caller may do everything. A request says `Authorization: Bearer KEY`."""

    def __init__(self, keys: Mapping[str, str] | None) -> None:
        self._keys = None if keys is None else {app: key.encode() for app, key in keys.items()}

    @classmethod
    def read(cls, path: Path | None) -> AppKeys:
        """From a JSON object of app and key; "" is for requests without an app.

        Raises HawkVisionError for an unreadable file or a key of less than 16 characters.
        """
        if path is None:
            return cls(None)
        try:
            keys = {str(app): str(key) for app, key in json.loads(path.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise HawkVisionError(
                f"{path} holds no keys: {error}", hint='A JSON object, {"gate": "KEY"}.'
            ) from error
        short = [app for app, key in keys.items() if len(key) < _SHORTEST]
        if short:
            raise HawkVisionError(
                f"the key of app {short[0]!r} has less than {_SHORTEST} characters",
                hint="Make one with `openssl rand -hex 32`.",
            )
        return cls(keys)

    def caller(self, authorization: str | None) -> Caller:
        """Who sends such an Authorization header. Raises Unauthorized for nobody that is known."""
        if self._keys is None:
            return _ANYBODY
        sent = (
            (authorization or "").removeprefix("Bearer ").strip().encode(errors="surrogateescape")
        )
        apps = {app for app, key in self._keys.items() if hmac.compare_digest(sent, key)}
        if not apps:
            raise Unauthorized("this needs an app's key", hint="Send Authorization: Bearer KEY.")
        return Caller(frozenset(apps))
