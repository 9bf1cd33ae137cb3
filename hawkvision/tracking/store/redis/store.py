"""A store in Redis 7, shared by a fleet.

Keys of one task carry its name in braces and share a cluster slot, and so do those of agents, so
that each script is atomic in a cluster too. What a server that is restarted empty has lost: counts
(they start again), apps and thresholds (agents keep using those that they know). Source: redis.io,
"Redis programmability", "Distributed locks" (fencing), "Redis cluster specification" (hash tags).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from hawkvision.errors import StaleFence, StoreUnavailable
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    Fresh,
    ThresholdState,
    agent_info,
    app_target,
    other,
    threshold_state,
    to_json,
)
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.bound import (
    FORGOTTEN_S,
    MOST_APPS,
    MOST_KEYS,
    MOST_NOTES,
    NOTED_S,
    bounded,
    no_room_for,
)
from hawkvision.tracking.store.buckets import RESOLUTIONS, finest, places
from hawkvision.tracking.store.fresh import PAGES
from hawkvision.tracking.store.redis import scripts
from hawkvision.tracking.store.redis.changes import heard, told
from hawkvision.tracking.store.redis.files import StoreFiles
from hawkvision.tracking.trust import is_vouched

if TYPE_CHECKING:
    from hawkvision.tracking.store.redis.servers import Servers

_KEPT_S = RESOLUTIONS[-1].kept_s + 3600
_CLOCK_OFF_S = 5.0
_CLOCK_TRIES = 3
_FIELDS_AT_ONCE = 8000


class RedisStore:
    """See `Store`. No call takes longer than `timeout_s`, connecting included.

    `counts` alone asks several times, `timeout_s` each: a day at the bound on keys is long.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        prefix: str = "hawkvision",
        most_keys: int = MOST_KEYS,
        most_apps: int = MOST_APPS,
        files: StoreFiles | None = None,
    ) -> None:
        self.files = files
        self._most_apps = most_apps
        self._servers = servers
        self._prefix = prefix
        self._most_keys = most_keys
        self._ahead_s: dict[str, float] = {}

    @classmethod
    def open(
        cls,
        url: str,
        *,
        prefix: str = "hawkvision",
        timeout_s: float = 0.5,
        most_keys: int = MOST_KEYS,
        most_apps: int = MOST_APPS,
        access: StoreAccess | None = None,
    ) -> RedisStore:
        """A store at a URL; nothing is connected yet. Its `files` say when they should be renewed.

        Raises InvalidRequest for an address that cannot be, HawkVisionError for files that are not
        right, StoreUnavailable where redis-py is not installed.
        """
        files = StoreFiles(url, access or StoreAccess())
        try:
            from hawkvision.tracking.store.redis.servers import Servers
        except ImportError as error:
            raise StoreUnavailable(
                "a Redis store needs redis-py, which is not installed",
                hint="pip install 'hawkvision[redis]'.",
            ) from error
        servers = Servers(files.address, timeout_s)
        files.renew = servers.renew
        return cls(servers, prefix=prefix, most_keys=most_keys, most_apps=most_apps, files=files)

    def _key(self, *parts: object) -> str:
        return ":".join([self._prefix, *(str(part) for part in parts)])

    def _of(self, task: str, *parts: object) -> str:
        return self._key(f"{{{quote(task, safe='')}}}", *parts)

    async def _run(
        self, script: scripts.Script, keys: Sequence[str], *arguments: str | float
    ) -> Any:
        [answer] = await self._servers.ask(keys[0], ("EVAL", script, len(keys), *keys, *arguments))
        return answer

    # Time is the server's: what it said last, and how long ago that was.

    async def _now(self, task: str) -> float:
        if task not in self._ahead_s:
            self._set_clock(task, await self._run(scripts.NOW, [self._of(task, "fresh")]))
        return asyncio.get_running_loop().time() + self._ahead_s[task]

    def _set_clock(self, task: str, stamp: bytes) -> None:
        self._ahead_s[task] = float(stamp) - asyncio.get_running_loop().time()

    # Counts.

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        """See `Store.add`; a batch of several tasks is one script for each."""
        tasks: dict[str, list[Any]] = {}
        for key, measures in batch.counts.items():
            sums: list[str] = []
            for name, amount in measures.items():
                if math.isfinite(amount):
                    sums += [f"{_text(name)}]", repr(amount)]
            rows = tasks.setdefault(key.task, [])
            rows.append([_prefix_of(key), _room_of(key), sums])
        for task, rows in tasks.items():
            for _ in range(_CLOCK_TRIES):
                if await self._add(task, batch.batch_id, age_s, rows):
                    break
            else:
                raise StoreUnavailable("the store's clock does not stand still")

    async def _add(self, task: str, batch_id: str, age_s: float, rows: list[Any]) -> bool:
        """False where our idea of the server's time was wrong; it is right now."""
        now = await self._now(task)
        kept = places(age_s, now)
        keys = [self._of(task, "batch", batch_id), self._of(task, "keys")]
        keys += [self._of(task, "keys", "vouched"), *self._fresh(task)]
        keys += [self._of(task, "count", one.width_s, start) for one, start in kept]
        lives = [_KEPT_S] * (3 + PAGES)
        lives += [int(one.kept_s - (now - start)) + 1 for one, start in kept]
        done, stamp = await self._run(
            scripts.ADD,
            keys,
            *(now, _CLOCK_OFF_S, _KEPT_S, self._most_keys, FORGOTTEN_S, secrets.token_hex(8)),
            *(_prefix_of(other(task, with_key=one)) for one in (False, True)),
            orjson.dumps(rows).decode(),
            *lives,
        )
        self._set_clock(task, stamp)
        return bool(done)

    def _fresh(self, task: str) -> list[str]:
        return [self._of(task, "fresh"), *(self._of(task, "fresh", page) for page in range(PAGES))]

    async def counts(
        self, task: str, *, window_s: float, old_s: float = 0.0
    ) -> dict[CountKey, dict[str, float]]:
        """See `Store.counts`; what was found is kept for whom it will do."""
        if old_s <= 0:
            return _by_key(task, (await self._window(task, window_s)).items())
        key, total = self._of(task, "recent", round(window_s)), dict[str, float]()
        [kept] = await self._servers.ask(key, ("GET", key))
        if kept is None:
            total = await self._window(task, window_s)
            flat = [part for field in total.items() for part in field]
            await self._servers.ask(
                key, ("SET", key, orjson.dumps(flat), "PX", max(1, int(old_s * 1e3)))
            )
        else:
            _add_up(total, kept)
        return _by_key(task, total.items())

    async def _window(self, task: str, window_s: float) -> dict[str, float]:
        """By field."""
        resolution = finest(window_s)
        now = await self._now(task)
        keys = [
            self._of(task, "count", resolution.width_s, start)
            for start in resolution.span(window_s, now)
        ]
        total: dict[str, float] = {}
        first = 1
        while first:
            answer = await self._run(scripts.READ, keys, first, _FIELDS_AT_ONCE)
            stamp, first, *buckets = answer
            self._set_clock(task, stamp)
            for bucket in buckets:
                _add_up(total, bucket)
                await asyncio.sleep(0)  # so that requests are answered meanwhile
        return total

    async def since(self, task: str, cursor: str | None) -> Fresh:
        """See `Store.since`."""
        epoch, _, page = (cursor or "").partition(":")
        found = await self._run(
            scripts.SINCE, self._fresh(task), epoch, page or 0, secrets.token_hex(8), _KEPT_S
        )
        epoch, page, baseline, *pages = found
        total: dict[str, float] = {}
        for one in pages:
            _add_up(total, one)
        return Fresh(_by_key(task, total.items()), f"{epoch.decode()}:{page}", bool(baseline))

    # Apps, thresholds and who leads.

    async def put_app(self, target: AppTarget) -> None:
        """See `Store.put_app`."""
        key = self._key("apps")
        value = to_json(target).decode()
        if not await self._run(scripts.PUT_APP, [key], target.app, value, self._most_apps):
            raise no_room_for(target.app, self._most_apps)
        await self._servers.ask(key, self._say("apps"))

    async def delete_app(self, app: str) -> bool:
        """See `Store.delete_app`."""
        key = self._key("apps")
        removed, _ = await self._servers.ask(key, ("HDEL", key, app), self._say("apps"))
        return bool(removed)

    async def apps(self) -> list[AppTarget]:
        """See `Store.apps`."""
        key = self._key("apps")
        [found] = await self._servers.ask(key, ("HGETALL", key))
        return sorted(
            (app_target(orjson.loads(value)) for value in found.values()),
            key=lambda target: target.app,
        )

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        """See `Store.put_thresholds`."""
        keys = [self._of(task, "fence"), self._of(task, "thresholds")]
        fields = [part for state in states for part in (state.target, to_json(state).decode())]
        said = told(task, states)
        if not await self._run(scripts.PUT, keys, fence, self._key("changes"), said, *fields):
            raise StaleFence(f"lead {fence} of {task} has passed to another agent")

    async def thresholds(self, task: str) -> dict[str, ThresholdState]:
        """See `Store.thresholds`."""
        key = self._of(task, "thresholds")
        [found] = await self._servers.ask(key, ("HGETALL", key))
        states = [threshold_state(orjson.loads(value)) for value in found.values()]
        return {state.target: state for state in states}

    async def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        async with contextlib.aclosing(self._servers.listen(self._key("changes"))) as texts:
            async for change in texts:
                yield heard(change)

    def _say(self, what: str) -> tuple[str, str, str]:
        return ("PUBLISH", self._key("changes"), what)

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        """See `Store.take_lead`."""
        keys = [self._of(task, "lead"), self._of(task, "fence"), self._of(task, "thresholds")]
        fence = await self._run(scripts.LEAD, keys, agent_id, int(ttl_s * 1e3), _KEPT_S)
        return None if fence is None else int(fence)

    # Agents, feedback and the fleet's secret.

    async def heartbeat(self, info: AgentInfo, ttl_s: float) -> None:
        """See `Store.heartbeat`."""
        names = self._of("agents")
        alive = self._of("agents", "alive", info.agent_id)
        await self._servers.ask(
            names,
            ("SET", alive, to_json(info), "PX", int(ttl_s * 1e3)),
            ("SADD", names, info.agent_id),
        )

    async def agents(self) -> list[AgentInfo]:
        """See `Store.agents`; forgets those that have expired."""
        key = self._of("agents")
        [found] = await self._servers.ask(key, ("SMEMBERS", key))
        names = sorted(name.decode() for name in found)
        if not names:
            return []
        alive = [self._of("agents", "alive", name) for name in names]
        [values] = await self._servers.ask(key, ("MGET", *alive))
        gone = [name for name, value in zip(names, values, strict=True) if value is None]
        if gone:
            await self._servers.ask(key, ("SREM", key, *gone))
        return [agent_info(orjson.loads(value)) for value in values if value is not None]

    async def claim(self, task: str, request_id: str, ttl_s: float) -> bool:
        """See `Store.claim`."""
        key = self._of(task, "claim", request_id)
        [taken] = await self._servers.ask(key, ("SET", key, 1, "NX", "PX", int(ttl_s * 1e3)))
        return bool(taken)

    async def put_note(self, subject: str, agent_id: str, text: str) -> None:
        """See `Store.put_note`."""
        keys = [self._of(subject, "notes"), self._of(subject, "noted")]
        await self._run(scripts.PUT_NOTE, keys, agent_id, text, MOST_NOTES, int(NOTED_S))

    async def notes(self, subject: str) -> dict[str, str]:
        """See `Store.notes`."""
        key = self._of(subject, "notes")
        [found] = await self._servers.ask(key, ("HGETALL", key))
        return {agent.decode(): text.decode() for agent, text in found.items()}

    async def secret(self, proposed: bytes) -> bytes:
        """See `Store.secret`."""
        key = self._key("secret")
        _, found = await self._servers.ask(key, ("SET", key, proposed, "NX"), ("GET", key))
        return found if isinstance(found, bytes) else proposed

    async def close(self) -> None:
        """See `Store.close`."""
        await self._servers.close()


# A field of a bucket is the JSON array [app, target, measure], so that any text can be a name.


def _text(value: str) -> str:
    return orjson.dumps(value).decode()


def _prefix_of(key: CountKey) -> str:
    return f"[{_text(key.app)},{_text(key.target)},"


def _room_of(key: CountKey) -> int:
    """See `scripts.ADD`."""
    return 1 + is_vouched(key.app) if bounded(key) else 0


def _add_up(total: dict[str, float], fields: bytes) -> None:
    flat = orjson.loads(fields)
    for field, amount in zip(flat[::2], flat[1::2], strict=True):
        total[field] = total.get(field, 0.0) + float(amount)


def _by_key(task: str, fields: Iterable[tuple[str, float]]) -> dict[CountKey, dict[str, float]]:
    counts: dict[CountKey, dict[str, float]] = {}
    for field, amount in fields:
        app, target, name = orjson.loads(field)
        counts.setdefault(CountKey(task, app, target), {})[name] = amount
    return counts
