"""A store in Redis 7, shared by a fleet.

Keys of one task carry its name in braces and share a cluster slot, so that each script below is
atomic there too. What a server that is restarted empty has lost: counts (they start again), apps
and thresholds (agents keep using those that they know). Source: redis.io, "Redis programmability",
"Distributed locks" (fencing).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from hawkvision.errors import InvalidRequest, StaleFence, StoreUnavailable
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    CountKey,
    ThresholdState,
    agent_info,
    app_target,
    threshold_state,
    to_json,
)
from hawkvision.tracking.store.buckets import finest, places

_MARKER_S = 26 * 3600
_ADD = """
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then return 0 end
for bucket = 2, #KEYS do
  for field = #KEYS + 1, #ARGV, 2 do
    redis.call('HINCRBYFLOAT', KEYS[bucket], ARGV[field], ARGV[field + 1])
  end
  redis.call('EXPIRE', KEYS[bucket], ARGV[bucket])
end
return 1
"""
_LEAD = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if held then return redis.call('GET', KEYS[2]) end
return redis.call('INCR', KEYS[2])
"""
_PUT = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return 0 end
for field = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[field], ARGV[field + 1]) end
redis.call('PUBLISH', KEYS[3], ARGV[2])
return 1
"""

Out = TypeVar("Out")


def open_client(url: str, timeout_s: float) -> Any:
    """A redis-py client for redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.

    `redis+sentinel://host:port,host:port/service`. Raises InvalidRequest for anything else,
    StoreUnavailable where redis-py is not installed.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.cluster import RedisCluster
        from redis.asyncio.sentinel import Sentinel
    except ImportError as error:
        raise StoreUnavailable(
            "a Redis store needs redis-py, which is not installed",
            hint="pip install 'hawkvision[redis]'.",
        ) from error
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
    }
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return Redis.from_url(url, health_check_interval=15, **options)
    if parts.scheme in ("redis+cluster", "rediss+cluster"):
        return RedisCluster.from_url(url.replace("+cluster", "", 1), **options)
    if parts.scheme in ("redis+sentinel", "rediss+sentinel"):
        hosts = [
            (host, int(port or 26379))
            for host, _, port in (
                item.partition(":") for item in parts.netloc.rsplit("@", 1)[-1].split(",")
            )
        ]
        secure = parts.scheme.startswith("rediss")
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            hosts, sentinel_kwargs=options, password=parts.password, ssl=secure
        )
        return sentinel.master_for(parts.path.strip("/") or "mymaster", **options)
    raise InvalidRequest(
        f"{parts.scheme or 'nothing'}:// is no address of a store",
        hint="redis://HOST:6379/0, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
    )


class RedisStore:
    """See `Store`. No call takes longer than `timeout_s`, connecting included."""

    def __init__(self, client: Any, *, prefix: str = "hawkvision", timeout_s: float = 0.5) -> None:
        self._client = client
        self._prefix = prefix
        self._timeout_s = timeout_s

    @classmethod
    def open(cls, url: str, *, prefix: str = "hawkvision", timeout_s: float = 0.5) -> RedisStore:
        """A store at a URL; nothing is connected yet. Raises InvalidRequest."""
        return cls(open_client(url, timeout_s), prefix=prefix, timeout_s=timeout_s)

    def _key(self, *parts: object) -> str:
        return ":".join([self._prefix, *(str(part) for part in parts)])

    def _of(self, task: str, *parts: object) -> str:
        return self._key(f"{{{task}}}", *parts)

    async def _ask(self, call: Awaitable[Out]) -> Out:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"the store does not answer: {type(error).__name__}: {str(error)[:200]}",
                hint="Counts are kept here and delivered when it is back.",
            ) from error

    async def add(self, batch: Batch, now: float) -> None:
        """See `Store.add`; a batch of several tasks is one script for each."""
        tasks: dict[str, list[str | float]] = {}
        for key, measures in batch.counts.items():
            fields = tasks.setdefault(key.task, [])
            for name, amount in measures.items():
                fields += [orjson.dumps([key.app, key.target, name]).decode(), repr(amount)]
        kept = places(batch.time_s, now)
        for task, fields in tasks.items():
            keys = [self._of(task, "batch", batch.batch_id)]
            keys += [self._of(task, "count", one.width_s, start) for one, start in kept]
            ttls = [_MARKER_S, *(int(one.kept_s - (now - start)) + 1 for one, start in kept)]
            await self._ask(self._client.eval(_ADD, len(keys), *keys, *ttls, *fields))

    async def counts(
        self, task: str, *, window_s: float, now: float
    ) -> dict[CountKey, dict[str, float]]:
        """See `Store.counts`."""
        resolution = finest(window_s)
        pipeline = self._client.pipeline(transaction=False)
        for start in resolution.span(window_s, now):
            pipeline.hgetall(self._of(task, "count", resolution.width_s, start))
        total: dict[CountKey, dict[str, float]] = {}
        for found in await self._ask(pipeline.execute()):
            for field, amount in found.items():
                app, target, name = orjson.loads(field)
                into = total.setdefault(CountKey(task, app, target), {})
                into[name] = into.get(name, 0.0) + float(amount)
        return total

    async def put_app(self, target: AppTarget) -> None:
        """See `Store.put_app`."""
        await self._ask(self._client.hset(self._key("apps"), target.app, to_json(target)))
        await self._ask(self._client.publish(self._key("changes"), "apps"))

    async def delete_app(self, app: str) -> bool:
        """See `Store.delete_app`."""
        removed = await self._ask(self._client.hdel(self._key("apps"), app))
        await self._ask(self._client.publish(self._key("changes"), "apps"))
        return bool(removed)

    async def apps(self) -> list[AppTarget]:
        """See `Store.apps`."""
        found = await self._ask(self._client.hgetall(self._key("apps")))
        return sorted(
            (app_target(orjson.loads(value)) for value in found.values()),
            key=lambda target: target.app,
        )

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """See `Store.put_thresholds`."""
        keys = [self._of(task, "fence"), self._of(task, "thresholds"), self._of(task, "changes")]
        fields = [part for state in states for part in (state.target, to_json(state))]
        if not await self._ask(self._client.eval(_PUT, 3, *keys, fence, task, *fields)):
            raise StaleFence(f"lead {fence} of {task} has passed to another agent")
        await self._ask(self._client.publish(self._key("changes"), task))

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """See `Store.thresholds`."""
        found = await self._ask(self._client.hgetall(self._of(task, "thresholds")))
        states = [threshold_state(orjson.loads(value)) for value in found.values()]
        return {state.target: state for state in states}

    async def changes(self) -> AsyncIterator[str]:
        """See `Store.changes`; ends by StoreUnavailable when the connection is lost."""
        from redis.exceptions import RedisError

        pubsub = self._client.pubsub()
        try:
            await self._ask(pubsub.subscribe(self._key("changes")))
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
                if message is not None:
                    yield message["data"].decode()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the store hung up: {type(error).__name__}") from error
        finally:
            await pubsub.aclose()

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """See `Store.take_lead`."""
        keys = [self._of(task, "lead"), self._of(task, "fence")]
        fence = await self._ask(self._client.eval(_LEAD, 2, *keys, agent_id, int(ttl_s * 1e3)))
        return None if fence is None else int(fence)

    async def heartbeat(self, info: AgentInfo, ttl_s: float) -> None:
        """See `Store.heartbeat`."""
        key = self._key("agent", info.agent_id)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(key, to_json(info), px=int(ttl_s * 1e3))
        pipeline.sadd(self._key("agents"), info.agent_id)
        await self._ask(pipeline.execute())

    async def agents(self) -> list[AgentInfo]:
        """See `Store.agents`; forgets those that have expired."""
        names = sorted(
            name.decode() for name in await self._ask(self._client.smembers(self._key("agents")))
        )
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.get(self._key("agent", name))
        values = await self._ask(pipeline.execute())
        gone = [name for name, value in zip(names, values, strict=True) if value is None]
        if gone:
            await self._ask(self._client.srem(self._key("agents"), *gone))
        return [agent_info(orjson.loads(value)) for value in values if value is not None]

    async def claim(self, task: str, request_id: str, ttl_s: float) -> bool:
        """See `Store.claim`."""
        key = self._of(task, "claim", request_id)
        return bool(await self._ask(self._client.set(key, 1, nx=True, px=int(ttl_s * 1e3))))

    async def secret(self, proposed: bytes) -> bytes:
        """See `Store.secret`."""
        await self._ask(self._client.set(self._key("secret"), proposed, nx=True))
        found = await self._ask(self._client.get(self._key("secret")))
        return found if isinstance(found, bytes) else proposed

    async def close(self) -> None:
        """See `Store.close`."""
        await self._client.aclose()
