"""Keys of apps: who may send feedback for an app and change its target."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from hawkvision.errors import HawkVisionError, Unauthorized

_SHORTEST = 16


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

    def check(self, app: str, authorization: str | None) -> None:
        """Raise Unauthorized unless the header carries the app's key."""
        if self._keys is None:
            return
        sent = (authorization or "").removeprefix("Bearer ").strip().encode()
        wanted = self._keys.get(app)
        if wanted is None or not hmac.compare_digest(sent, wanted):
            raise Unauthorized(f"app {app!r} needs its key", hint="Send Authorization: Bearer KEY.")
