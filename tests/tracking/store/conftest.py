"""Every store there is, for the suite that holds them all to one contract."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore
from hawkvision.tracking.store.served import ServedStore, StoreService

_prefixes = itertools.count()

Open = Callable[..., Store]
"""Opens a store with nothing in it, or with `same` set the last one again, as another agent."""


class Through:
    """Calls that go through JSON, as between two processes, and no further."""

    def __init__(self, store: Store) -> None:
        self._handlers = StoreService(store).handlers()

    async def call(self, name: str, argument: Any = None, *, patient: bool = False) -> Any:
        reply = await self._handlers[name](orjson.loads(orjson.dumps(argument)))
        return orjson.loads(orjson.dumps(reply))


@pytest.fixture(params=["memory", "served", "redis", "cluster"])
async def open_empty(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    opened: list[RedisStore] = []

    def open_one(most_keys: int = 512, most_apps: int = 512) -> Store:
        if request.param in ("memory", "served"):
            memory = MemoryStore(most_keys=most_keys, most_apps=most_apps)
            return memory if request.param == "memory" else ServedStore(Through(memory))
        server = request.getfixturevalue(
            "redis_server" if request.param == "redis" else "redis_cluster"
        )
        prefix = f"test{next(_prefixes)}"
        opened.append(
            RedisStore.open(
                server.url,
                prefix=prefix,
                timeout_s=5.0,
                most_keys=most_keys,
                most_apps=most_apps,
            )
        )
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_empty: Open) -> Store:
    return open_empty()
