"""The file of API keys: TOML, the hashes of keys and never the keys themselves.

A key is 256 random bits, so its SHA-256 is as good as a slow hash: those (scrypt, Argon2) are for
what people choose, of which an attacker can try all that is likely. Nobody tries 2^256 keys, and a
hash that is looked up on every request has to be quick.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

import tomli_w

from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import GRANTED, WITHOUT_A_KEY, Scope

MOST_KEYS = 4096
EVERY_APP = "*"
APP = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_PREFIX = "hvk_"
"""So that people, and those who look for secrets in files, know a key when they see one."""

_KEY_FIELDS = frozenset(
    {"id", "hash", "scopes", "apps", "rate", "burst", "expires", "disabled", "created"}
)
_ANONYMOUS_FIELDS = frozenset({"scopes", "rate", "burst"})
_HINT = "`hawkvision keys create` writes such a file."


@dataclass(frozen=True, slots=True)
class Key:
    """One entry: what whoever shows the key may do, and for which apps (None: for every one).

    `digest` is the SHA-256 of the key, `expires_s` and `created_s` are in seconds since the epoch.
    """

    id: str
    digest: bytes
    scopes: frozenset[Scope]
    apps: frozenset[str] | None
    rate: Rate | None = None
    expires_s: float | None = None
    disabled: bool = False
    created_s: float | None = None

    def refusal(self, now_s: float) -> str | None:
        """Why it opens nothing at this time (since the epoch); None where it does."""
        if self.disabled:
            return "is revoked"
        if self.expires_s is not None and now_s >= self.expires_s:
            return "has expired"
        return None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """All keys, and what requests without any may do (`rate` is for all of those together)."""

    keys: tuple[Key, ...] = ()
    anonymous: frozenset[Scope] = frozenset()
    anonymous_rate: Rate | None = None


def new_key() -> str:
    """A new key: 256 random bits in words that fit into a header."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> bytes:
    """What a file keeps of a key, 32 bytes."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def parse_keys(text: str) -> KeyFile:
    """From TOML. Raises HawkVisionError for what is wrong, naming the entry."""
    try:
        body = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"no TOML: {error}") from error
    if unknown := sorted(set(body) - {"key", "anonymous"}):
        raise _wrong(f"an unknown table {unknown[0][:40]!r}")
    entries = body.get("key", [])
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise _wrong(f"keys are tables [[key]], at most {MOST_KEYS}")
    keys = tuple(_key(one, number) for number, one in enumerate(entries, 1))
    for name, values in (("id", [one.id for one in keys]), ("hash", [k.digest for k in keys])):
        if len(set(values)) < len(values):
            raise _wrong(f"two keys with the same {name}")
    return KeyFile(keys, *_anonymous(body.get("anonymous", {})))


def _key(entry: Any, number: int) -> Key:
    if not isinstance(entry, dict):
        raise _wrong("keys are tables [[key]]")
    name = entry.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise _wrong(f"key {number} has no id of 1 to 64 letters, digits, '_', '-' and '.'")
    what = f"key {name!r}"
    _only(entry, _KEY_FIELDS, what)
    found = _HASH.fullmatch(str(entry.get("hash")))
    if found is None:
        raise _wrong(f"{what} has no hash 'sha256:' and 64 hexadecimal digits")
    disabled = entry.get("disabled", False)
    if not isinstance(disabled, bool):
        raise _wrong(f"{what}: disabled is true or false")
    return Key(
        id=name,
        digest=bytes.fromhex(found[1]),
        scopes=_scopes(entry.get("scopes"), what, frozenset(GRANTED)),
        apps=_apps(entry.get("apps"), what),
        rate=_rate(entry, what),
        expires_s=_when(entry, "expires", what),
        disabled=disabled,
        created_s=_when(entry, "created", what),
    )


def _anonymous(entry: Any) -> tuple[frozenset[Scope], Rate | None]:
    what = "anonymous"
    if not isinstance(entry, dict):
        raise _wrong("anonymous is a table [anonymous]")
    _only(entry, _ANONYMOUS_FIELDS, what)
    if not entry:
        return frozenset(), None
    return _scopes(entry.get("scopes"), what, WITHOUT_A_KEY), _rate(entry, what)


def _only(entry: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    if unknown := sorted(set(entry) - known):
        raise _wrong(f"{what} with an unknown {unknown[0][:40]!r}")


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    return None


def _scopes(value: Any, what: str, allowed: frozenset[Scope]) -> frozenset[Scope]:
    names = sorted(str(one) for one in allowed)
    found = _texts(value)
    if found is None or (set(found) - set(names)):
        raise _wrong(f"{what}: scopes are a list of {', '.join(names)}")
    return frozenset(Scope(one) for one in found)


def _apps(value: Any, what: str) -> frozenset[str] | None:
    found = _texts(value)
    if found == [EVERY_APP]:
        return None
    if found is None:
        raise _wrong(f'{what}: apps are a list of names, or ["*"]')
    for one in found:
        if one and not APP.fullmatch(one):
            raise _wrong(f"{what}: {one[:80]!r} is no name of an app")
    return frozenset(found)


def _rate(entry: Mapping[str, Any], what: str) -> Rate | None:
    rate, burst = entry.get("rate"), entry.get("burst")
    if rate is None and burst is None:
        return None
    if not _is_number(rate) or not 0.001 <= rate <= 1e6:
        raise _wrong(f"{what}: rate is a number of requests a second, 0.001 to 1000000")
    if burst is None:
        burst = max(1.0, rate)
    if not _is_number(burst) or not 1 <= burst <= 1e6:
        raise _wrong(f"{what}: burst is a number of requests, 1 to 1000000")
    return Rate(float(rate), float(burst))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _when(entry: Mapping[str, Any], name: str, what: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _wrong(f"{what}: {name} is a time with its offset, 2030-01-31T12:00:00Z")
    return value.timestamp()


def write_keys(found: KeyFile) -> str:
    """The TOML that `parse_keys` reads again."""
    body: dict[str, Any] = {}
    if found.anonymous:
        body["anonymous"] = {
            "scopes": sorted(found.anonymous),
            **_rate_fields(found.anonymous_rate),
        }
    body["key"] = [_entry(one) for one in found.keys]
    return tomli_w.dumps(body)


def _rate_fields(rate: Rate | None) -> dict[str, float]:
    return {} if rate is None else {"rate": rate.per_s, "burst": rate.burst}


def _entry(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "hash": f"sha256:{key.digest.hex()}",
        "scopes": sorted(key.scopes),
        "apps": [EVERY_APP] if key.apps is None else sorted(key.apps),
        **_rate_fields(key.rate),
        **({} if key.created_s is None else {"created": _time(key.created_s)}),
        **({} if key.expires_s is None else {"expires": _time(key.expires_s)}),
        **({"disabled": True} if key.disabled else {}),
    }


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _wrong(what: str) -> HawkVisionError:
    return HawkVisionError(f"the file of keys is wrong: {what}", hint=_HINT)
