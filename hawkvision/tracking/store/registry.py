"""Open the store that `--store` names: this process's memory, Redis, or one that is registered."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from hawkvision import extensions
from hawkvision.errors import InvalidRequest
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore

ALONE = ("memory", "off")
"""Names under which an agent shares nothing with others."""


def open_store(url: str) -> Store:
    """A store; nothing is connected yet.

    Raises InvalidRequest for an address that no store takes, StoreUnavailable where what it needs
    is not installed.
    """
    if url in ALONE:
        return MemoryStore(time.time)
    scheme = urlsplit(url).scheme
    if scheme.startswith(("redis", "unix")):
        return RedisStore.open(url)
    try:
        factory = extensions.load(extensions.STORES, scheme)
    except KeyError as error:
        known = ", ".join(sorted(extensions.registered(extensions.STORES))) or "none"
        raise InvalidRequest(
            f"{scheme or 'nothing'}:// is no address of a store",
            hint="memory, off, redis://HOST:6379/0, rediss://, unix://, redis+sentinel://, "
            f"redis+cluster://, or one that is registered ({known}).",
        ) from error
    store: Store = factory(url)
    return store
