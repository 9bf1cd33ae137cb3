"""What happens where a user of Redis lacks one of the rights that the documentation names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest
import redis

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import AgentInfo, AppTarget, Batch, ThresholdState
from hawkvision.tracking.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.tracking.store.test_redis_access import KEY, USER, least_rights, with_user

RIGHTS = [word[1:] for word in least_rights().split() if word.startswith("+")]
ELSEWHERE = {
    "evalsha": "without it scripts are sent whole",
    "ping": "said when nothing was heard for long",
    "select": "said where a database is named",
    "cluster|slots": "said to clusters",
    "asking": "said to clusters whose slots are on their way",
}
"""Rights that these calls do not need at one server; other tests of the store do."""

ONE = {"answers/edge/0": 1.0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("rights")
    path = folder / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{least_rights()}\n")
    found = RedisServer(folder / "redis", "--aclfile", str(path))
    yield found
    found.kill()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    with server.client() as client:
        client.flushall()
    found = RedisStore.open(with_user(server.url), timeout_s=5.0)
    yield found
    await found.close()


@contextlib.contextmanager
def without(server: RedisServer, right: str) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.execute_command("ACL", "LOG", "RESET")
        client.script_flush()  # a script that is known needs no right to be sent
        client.execute_command("ACL", "SETUSER", USER, f"-{right}")
        try:
            yield client
        finally:
            client.execute_command("ACL", "SETUSER", USER, f"+{right}")


async def refusals(store: RedisStore) -> list[str]:
    """What the calls of a fleet say that fail."""
    said: list[str] = []

    async def tried(call: Awaitable[Any]) -> Any:
        try:
            return await call
        except StoreUnavailable as error:
            said.append(str(error))
            return None

    await tried(store.secret(b"s"))
    await tried(store.put_app(AppTarget("gate", "signs", "0.9")))
    await tried(store.apps())
    await tried(store.delete_app("gate"))
    await tried(store.since("signs", None))
    await tried(store.add(Batch("first", 0.0, {KEY: ONE})))
    await tried(store.counts("signs", window_s=300))
    await tried(store.counts("signs", window_s=300, old_s=5))
    fence = await tried(store.take_lead("signs", "a", 60)) or 1
    state = ThresholdState("0.9", 0.5, "steering", fence, 0.0)
    await tried(store.put_thresholds("signs", [state], fence))
    await tried(store.thresholds("signs"))
    await tried(store.heartbeat(AgentInfo("a", "http://a", (), 0.0, 0.0), 0.001))
    await asyncio.sleep(0.01)
    await tried(store.agents())
    await tried(store.claim("signs", "r", 60))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await tried(anext(aiter(store.changes())))
    return said


@pytest.mark.parametrize("right", sorted(set(RIGHTS) - set(ELSEWHERE)))
async def test_each_right_is_needed_and_its_lack_is_said(
    server: RedisServer, store: RedisStore, right: str
) -> None:
    with without(server, right) as client:
        said = await refusals(store)
        log: Any = client.acl_log()
        denied = {row["object"] for row in log}
    # On a busy machine a call may be late instead; of those that were not, each says it.
    assert [one for one in said if one.startswith("the store refuses a command")]
    assert denied <= {right}  # nothing else was asked for


@pytest.mark.parametrize("right", sorted(set(RIGHTS) - set(ELSEWHERE)))
async def test_no_count_is_lost_or_counted_twice_over_a_right_that_comes_later(
    server: RedisServer, store: RedisStore, right: str
) -> None:
    """A script that is refused half-way is not undone: it must not have begun."""
    batch = Batch("b", 0.0, {KEY: ONE})
    with without(server, right):
        for _ in range(3):  # as deliveries do: until it is acknowledged
            with contextlib.suppress(StoreUnavailable):
                await store.add(batch)
    await store.add(batch)
    assert await store.counts("signs", window_s=300) == {KEY: ONE}


def calls_of(client: redis.Redis, command: str) -> int:
    found: Any = client.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_a_script_is_sent_once_and_then_named(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.script_flush()
        await store.since("signs", None)
        client.config_resetstat()
        for number in range(5):
            await store.add(Batch(str(number), 0.0, {KEY: ONE}))
        assert calls_of(client, "eval") == 2  # for the time, and to add
        client.script_flush()  # as a server that was restarted, or a replica
        for number in range(5, 10):
            await store.add(Batch(str(number), 0.0, {KEY: ONE}))
        assert calls_of(client, "eval") == 3
    assert await store.counts("signs", window_s=300) == {KEY: {"answers/edge/0": 10.0}}


async def test_who_may_not_name_scripts_sends_them_whole(
    server: RedisServer, store: RedisStore
) -> None:
    with without(server, "evalsha") as client:
        for number in range(5):
            await store.add(Batch(str(number), 0.0, {KEY: ONE}))
        log: Any = client.acl_log()
        assert sum(row["count"] for row in log) == 1  # it was tried once
    assert await store.counts("signs", window_s=300) == {KEY: {"answers/edge/0": 5.0}}


async def test_a_user_that_is_refused_is_told_apart_from_a_store_that_is_away(
    server: RedisServer,
) -> None:
    store = RedisStore.open(f"redis://{USER}:wrong@127.0.0.1:{server.port}", timeout_s=5.0)
    with pytest.raises(StoreUnavailable, match="the store refuses its user") as caught:
        await store.apps()
    await store.close()
    assert "docs/operate.md" in caught.value.hint
