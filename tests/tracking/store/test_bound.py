"""However many apps and targets clients make up, what is counted apart stays within its bound."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.parameters import parse_app
from hawkvision.cascade import parse_accuracy
from hawkvision.errors import InvalidRequest
from hawkvision.tracking.counts import PROBES, TASK_WIDE
from hawkvision.tracking.records import OTHER_APP, OTHER_TARGET, Batch, CountKey, other
from hawkvision.tracking.store.bound import FORGOTTEN_S, MOST_KEYS, Admitted, bounded
from hawkvision.tracking.store.buckets import RESOLUTIONS
from hawkvision.tracking.store.counters import Counters
from hawkvision.tracking.store.redis import RedisStore
from tests.redis_server import RedisServer

keys = st.builds(
    CountKey,
    st.sampled_from(("a", "b")),
    st.sampled_from(("", *"xyz", OTHER_APP)),
    st.sampled_from(("0.9", "0.8", TASK_WIDE, PROBES, OTHER_TARGET)),
)


def apps(count: int) -> list[CountKey]:
    return [CountKey("signs", f"app{number}", "0.9") for number in range(count)]


@given(st.lists(keys), st.integers(1, 4))
def test_counters_lose_nothing_and_stay_within_the_bound(found: list[CountKey], most: int) -> None:
    counters = Counters(most)
    for key in found:
        counters.add(key, "n")
    batch = counters.take(0.0)
    assert (batch is None) == (not found)
    if batch is None:
        return
    assert sum(sums["n"] for sums in batch.counts.values()) == len(found)
    for task in ("a", "b"):
        own = [key for key in batch.counts if key.task == task and bounded(key)]
        assert len(own) <= most
    for key in found:
        assert key in batch.counts or other(key.task) in batch.counts


@given(st.lists(keys), st.lists(keys), st.integers(1, 4))
def test_what_is_put_back_keeps_to_the_bound(
    before: list[CountKey], after: list[CountKey], most: int
) -> None:
    counters = Counters(most)
    for key in after:
        counters.add(key, "n")
    counters.put_back(Batch("b", 0.0, {key: {"n": 1.0} for key in before}))
    for key in after:
        counters.add(key, "n")
    batch = counters.take(0.0)
    counts = {} if batch is None else batch.counts
    assert sum(sums["n"] for sums in counts.values()) == 2 * len(after) + len(set(before))
    for task in ("a", "b"):
        assert len([key for key in counts if key.task == task and bounded(key)]) <= most


def test_counting_begins_anew_with_each_batch() -> None:
    counters = Counters(1)
    for key in apps(2):
        counters.add(key, "n")
        batch = counters.take(0.0)
        assert batch is not None and set(batch.counts) == {key}


def test_clients_cannot_take_the_names_of_all_others() -> None:
    for parse, name in ((parse_app, OTHER_APP), (parse_accuracy, OTHER_TARGET)):
        try:
            parse(name)
        except InvalidRequest:
            continue
        raise AssertionError(f"a client can ask for {name}")


def test_who_was_there_keeps_his_place_and_who_is_gone_makes_room() -> None:
    admitted = Admitted(most_keys=2)
    first, second, third = apps(3)
    assert [admitted.key(key, 0.0) for key in (first, second, third)] == [
        first,
        second,
        other("signs"),
    ]
    assert admitted.key(first, FORGOTTEN_S) == first
    assert admitted.key(third, FORGOTTEN_S) == other("signs")
    assert admitted.key(third, FORGOTTEN_S + 1) == third  # the second was not seen for an hour
    assert admitted.key(first, FORGOTTEN_S + 1) == first
    assert admitted.key(second, FORGOTTEN_S + 1) == other("signs")


def test_keys_live_longer_than_any_bucket_is_wide() -> None:
    """Else one bucket could hold many more than twice the bound."""
    assert all(one.width_s <= FORGOTTEN_S for one in RESOLUTIONS)


async def test_the_bound_is_the_fleet_s(redis_server: RedisServer) -> None:
    """Two agents, each within its own bound; no hash of the server outgrows the bound."""
    agents = [RedisStore.open(redis_server.url, prefix="flood", timeout_s=10.0) for _ in range(2)]
    for number, agent in enumerate(agents):
        for part in range(4):
            counters = Counters()
            for index in range(MOST_KEYS):
                counters.add(
                    CountKey("signs", f"app{number}-{part}-{index}", "0.9"), "answers/edge/0"
                )
            batch = counters.take(0.0)
            assert batch is not None
            await agent.add(batch)
    counts = await agents[0].counts("signs", window_s=300)
    assert len(counts) == MOST_KEYS + 1
    assert sum(sums["answers/edge/0"] for sums in counts.values()) == 8 * MOST_KEYS
    with redis_server.client() as client:
        hashes = [key for key in client.scan_iter("flood:*") if client.type(key) == b"hash"]
        sizes = {key: client.hlen(key) for key in hashes}
        assert re.search(b"count", b" ".join(hashes))
        assert max(sizes.values()) == MOST_KEYS + 1
        assert client.zcard("flood:{signs}:keys") == MOST_KEYS
    for agent in agents:
        await agent.close()


async def test_reading_costs_what_is_new(redis_server: RedisServer) -> None:
    """With all keys in use, a reader is answered the fields of the last batch and no other."""
    store = RedisStore.open(redis_server.url, prefix="busy", timeout_s=10.0)
    await store.add(Batch("all", 0.0, {key: {"n": 1.0} for key in apps(MOST_KEYS)}))
    cursor = (await store.since("signs", None)).cursor
    for number in range(3):
        await store.add(Batch(f"b{number}", 0.0, {apps(number + 1)[-1]: {"n": 1.0}}))
        with redis_server.client() as client:
            pages = [client.hlen(f"busy:{{signs}}:fresh:{page}") for page in range(4)]
            before = client.info("commandstats")["cmdstat_hgetall"]["calls"]
            fresh = await store.since("signs", cursor)
            after = client.info("commandstats")["cmdstat_hgetall"]["calls"]
        assert fresh.counts == {apps(number + 1)[-1]: {"n": 1.0}}
        assert after - before == 1 and 1 in pages
        cursor = fresh.cursor
    await store.close()
