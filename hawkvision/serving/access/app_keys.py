"""`--app-keys`: the older file of keys, JSON of app and key, as keys with the scopes of an app.

Requests without a key may do what `[anonymous]` of a file of keys may at most.
"""

from __future__ import annotations

import json

from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.keyfile import APP, Key, KeyFile, digest_of
from hawkvision.serving.access.scopes import GRANTED, WITHOUT_A_KEY

_SHORTEST = 16


def parse_app_keys(text: str) -> KeyFile:
    """From a JSON object of app and key; "" is for requests without an app.

    Raises HawkVisionError for another shape, a name that no request can have, or a key of less
    than 16 characters.
    """
    try:
        keys = {str(app): str(key) for app, key in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise HawkVisionError(
            f"the file holds no keys: {error}", hint='A JSON object, {"gate": "KEY"}.'
        ) from error
    apps: dict[bytes, set[str]] = {}
    for app, key in keys.items():
        if len(key) < _SHORTEST:
            raise HawkVisionError(
                f"the key of app {app!r} has less than {_SHORTEST} characters",
                hint="Make one with `openssl rand -hex 32`.",
            )
        if app and not APP.fullmatch(app):
            raise HawkVisionError(
                f"{app[:80]!r} is no name of an app",
                hint="1 to 64 letters, digits, '_', '-' and '.'.",
            )
        apps.setdefault(digest_of(key), set()).add(app)
    return KeyFile(
        tuple(
            Key(f"app:{min(names)}", digest, frozenset(GRANTED), frozenset(names))
            for digest, names in apps.items()
        ),
        WITHOUT_A_KEY,
    )
