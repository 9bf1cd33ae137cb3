"""Open the store that `--store` names: this process's memory, Redis, or one that is registered."""

from __future__ import annotations

from hawkvision import extensions
from hawkvision.errors import InvalidRequest
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.bound import MOST_APPS
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore
from hawkvision.tracking.store.redis.address import FORMS

ALONE = ("memory", "off")
"""Names under which an agent shares nothing with others."""


def open_store(url: str, access: StoreAccess | None = None, *, most_apps: int = MOST_APPS) -> Store:
    """A store; nothing is connected yet. One that is registered bounds apps by itself.

    Raises InvalidRequest for an address that no store takes, StoreUnavailable where what it needs
    is not installed, HawkVisionError for files of `access` that are not right; only Redis takes
    some. No message repeats more of the address than its scheme.
    """
    redis = url.partition("://")[0].partition("+")[0] in ("redis", "rediss", "unix")
    if access is not None and access.paths and not redis:
        raise InvalidRequest(
            "--store-ca, -cert, -key and -password-file are for a store in Redis",
            hint="Leave them away, or name one: --store rediss://HOST:6379/0.",
        )
    if url in ALONE:
        return MemoryStore(most_apps=most_apps)
    scheme, separator, _ = url.partition("://")
    registered = extensions.registered(extensions.STORES)
    if separator and scheme in registered:
        store: Store = extensions.load(extensions.STORES, scheme)(url)
        return store
    if redis:
        return RedisStore.open(url, most_apps=most_apps, access=access)
    known = ", ".join(sorted(registered)) or "none"
    raise InvalidRequest(
        f"{scheme if separator and scheme.isalnum() else 'nothing'}:// is no address of a store",
        hint=f"memory, off, {FORMS}, or one that is registered ({known}).",
    )
