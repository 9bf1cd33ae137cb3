"""What a Redis of this machine takes for the calls of agents, measured: `settings.Server`.

A server of its own gets each kind of call as fast as it answers, from several connections; what
INFO says of its processor time is divided by what the ledger says was asked of it.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from hawkvision.errors import HawkVisionError
from hawkvision.tracking import counts
from hawkvision.tracking.records import Batch, CountKey, ThresholdState
from hawkvision.tracking.store.redis import RedisStore
from loadtest.bench.fleet.redis_use import RedisUse
from loadtest.bench.fleet_sim.store import Server

_TASK = "cost@1"
_CONNECTIONS = 10
_CALLS = 4000
_READS = 400
_LISTENERS = 100
_TOLD = 400
_AGES = 30
Call = Callable[[RedisStore, int], Awaitable[object]]


def measure_server() -> Server:
    """Some seconds of one core. Raises HawkVisionError where there is no redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        raise HawkVisionError("redis-server is not installed", hint="Leave --measure-redis out.")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "redis.sock"
        words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", place]
        server = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 10
            while not path.exists():
                if server.poll() is not None or time.monotonic() > end:
                    raise HawkVisionError("redis-server did not start", hint="Run it by hand.")
                time.sleep(0.02)
            return asyncio.run(_measure(f"unix://{path}"))
        finally:
            server.terminate()
            server.wait()


async def _measure(url: str) -> Server:
    stores = [RedisStore.open(url) for _ in range(_CONNECTIONS)]
    try:
        await _fill(stores[0])
        poll = await _used(url, stores, _poll, _CALLS)
        added = await _used(url, stores, _add, _CALLS)
        read = await _used(url, stores, _read, _READS)
        told_s = await _told(url, stores[0])
    finally:
        for store in stores:
            await store.close()
    sent_s, inner_s = _solve(poll, added)
    rest = read.cpu_s - _sent(read) * sent_s - _inner(read) * inner_s
    return Server(sent_s, inner_s, max(0.0, rest) / (_READS * _fields()), told_s)


def _batch(number: int, answers: int, rng: random.Random) -> Batch:
    found: dict[CountKey, dict[str, float]] = {}

    def add(key: CountKey, name: str, amount: float) -> None:
        sums = found.setdefault(key, {})
        sums[name] = sums.get(name, 0.0) + amount

    for _ in range(answers):
        confidence = rng.random()
        key = CountKey(_TASK, "", rng.choice(["0.8", "0.9"]))
        counts.answered(
            add,
            key,
            served_by="edge",
            degraded=None,
            loss_level=0.0,
            edge_confidence=confidence,
            answer_confidence=confidence,
        )
    return Batch(f"{number:024x}", 0.0, found)


def _full() -> Batch:
    """All measures that a busy bucket has."""
    names = [f"bin/{b}/{m}" for b in range(counts.BINS) for m in ("n", "k", "w", "edge_loss")]
    return Batch("f" * 24, 0.0, {CountKey(_TASK, "", "*"): dict.fromkeys(names, 0.123456789)})


def _fields() -> int:
    """That the reads of `_measure` find, but for some of the newest bucket."""
    return _AGES * len(next(iter(_full().counts.values())))


async def _fill(store: RedisStore) -> None:
    for age in range(_AGES):
        batch = _full()
        await store.add(Batch(f"{age:024d}", 0.0, batch.counts), age * 10.0)
    state = [ThresholdState(f"0.{n}", 0.5, "holding", 1, 1.0) for n in range(6, 10)]
    await store.take_lead(_TASK, "leader", 60.0)
    await store.put_thresholds(_TASK, state, 1)


async def _poll(store: RedisStore, number: int) -> None:
    await store.apps()
    await store.secret(b"0" * 32)
    await store.take_lead(_TASK, "another", 3.0)
    await store.thresholds(_TASK)


async def _add(store: RedisStore, number: int) -> None:
    await store.add(_batch(number, 2, random.Random(number)))


async def _read(store: RedisStore, number: int) -> None:
    await store.counts(_TASK, window_s=300.0)


async def _used(url: str, stores: Sequence[RedisStore], call: Call, times: int) -> RedisUse:
    for place, store in enumerate(stores):  # connections, and what is asked once
        await call(store, (place + 1) << 32)
    before = RedisUse.read(url)
    assert before is not None

    async def some(place: int) -> None:
        for number in range(times // len(stores)):
            await call(stores[place], (place << 40) + number)

    await asyncio.gather(*(some(place) for place in range(len(stores))))
    after = RedisUse.read(url)
    assert after is not None
    return after.since(before)


def _sent(used: RedisUse) -> float:
    """Commands that came over a connection: all that no script runs."""
    evals, gets = used.commands.get("evalsha", 0.0), used.commands.get("get", 0.0)
    if "hincrbyfloat" in used.commands or "time" in used.commands:
        return evals
    return evals + 2 * (gets - evals) + used.commands["hgetall"]


def _inner(used: RedisUse) -> float:
    return sum(used.commands.values()) - _sent(used)


def _solve(one: RedisUse, other: RedisUse) -> tuple[float, float]:
    """Seconds of a command that is sent, and of one that a script runs."""
    a, b, c, d = _sent(one), _inner(one), _sent(other), _inner(other)
    determinant = a * d - b * c
    sent = (one.cpu_s * d - b * other.cpu_s) / determinant
    return sent, (a * other.cpu_s - c * one.cpu_s) / determinant


async def _told(url: str, store: RedisStore) -> float:
    """Seconds for each listener of a publication."""
    from redis.asyncio import Redis

    clients = [Redis.from_url(url) for _ in range(_LISTENERS)]
    listening = [client.pubsub() for client in clients]
    try:
        for one in listening:
            await one.subscribe("hawkvision:changes")
            await one.get_message(timeout=1.0)
        state = [ThresholdState("0.9", 0.5, "holding", 1, 1.0)]
        before = RedisUse.read(url)
        for _ in range(_TOLD):
            await store.put_thresholds(_TASK, state, 1)
        after = RedisUse.read(url)
        assert before is not None and after is not None
        return after.since(before).cpu_s / (_TOLD * _LISTENERS)
    finally:
        for one, client in zip(listening, clients, strict=True):
            await one.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()
