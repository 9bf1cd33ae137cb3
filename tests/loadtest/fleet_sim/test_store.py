"""The simulated Redis holds what the product's store holds, and costs what a real one says."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import partial

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking import counts
from hawkvision.tracking.records import AgentInfo, Batch, CountKey, ThresholdState
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.bound import bounded
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore, scripts
from loadtest.bench.fleet.redis_use import RedisUse
from loadtest.bench.fleet_sim.ledger import Cost, Ledger, prefix_of, request
from loadtest.bench.fleet_sim.store import Server, SimulatedRedis, answers_of
from loadtest.bench.fleet_sim.timeline import Timeline
from tests.loadtest.fleet_sim.conftest import SERVER
from tests.redis_server import RedisServer

_TASK = "roadsigns@2"
_IDLE = Server(0.0, 0.0, 0.0, 0.0)


def _batches(count: int) -> list[Batch]:
    """As agents make them: answers of both rungs, and audits, at a few targets."""
    rng = random.Random(5)
    out = []
    for number in range(count):
        found: dict[CountKey, dict[str, float]] = {}

        def add(key: CountKey, name: str, amount: float, found: dict = found) -> None:  # type: ignore[type-arg]
            sums = found.setdefault(key, {})
            sums[name] = sums.get(name, 0.0) + amount

        for _ in range(rng.randint(1, 5)):
            key = CountKey(_TASK, "", rng.choice(["0.8", "0.9", "0.95"]))
            sure = rng.random()
            counts.answered(
                add,
                key,
                served_by=rng.choice(["edge", "dc"]),
                degraded=None,
                loss_level=0.0,
                edge_confidence=sure,
                answer_confidence=rng.random(),
            )
            if rng.random() < 0.5:
                counts.compared(
                    add, _TASK, edge_confidence=sure, edge_error=0.5, dc_error=0.1, weight=1 / 0.03
                )
                counts.audited(add, key, edge_error=0.25, weight=1 / 0.03)
        out.append(Batch(f"{number:024d}", 0.0, found))
    return out


async def _use(store: Store) -> dict[CountKey, dict[str, float]]:
    """What an agent that leads, and one that does not, ask of a store."""
    states = [ThresholdState(one, 0.6578, "holding", 1, 1.7e9) for one in ("0.8", "0.9")]
    info = AgentInfo("0" * 12, "http://127.0.0.1:40000", ("roadsigns",), 1.7e9 + 0.1, 1.7e9 + 0.2)
    await store.apps()
    await store.secret(b"1" * 32)
    fence = await store.take_lead(_TASK, "a" * 12, 3.0)
    assert fence == 1
    assert await store.take_lead(_TASK, "a" * 12, 3.0) == 1
    assert await store.take_lead(_TASK, "b" * 12, 3.0) is None
    cursor = (await store.since(_TASK, None)).cursor
    batches = _batches(60)
    for batch in batches[:30]:
        await store.add(batch, 0.0)
    cursor = (await store.since(_TASK, cursor)).cursor
    cursor = (await store.since(_TASK, cursor)).cursor
    for batch in batches[30:]:
        await store.add(batch, 0.0)
    fresh = await store.since(_TASK, cursor)
    await store.put_thresholds(_TASK, states, fence)
    await store.thresholds(_TASK)
    await store.heartbeat(info, 5.0)
    return {key: dict(sums) for key, sums in fresh.counts.items()}


def _ledger_of(store: SimulatedRedis) -> Ledger:
    """With what `_use` does that costs a simulation nothing by itself."""
    ledger = store.ledger.copy()
    info = AgentInfo("0" * 12, "http://127.0.0.1:40000", ("roadsigns",), 1.7e9 + 0.1, 1.7e9 + 0.2)
    for cost in (
        store.costs.apps,
        store.costs.secret,
        store.costs.now,
        store.costs.heartbeat(info),
    ):
        ledger.note(cost)
    return ledger


def _look(redis: RedisServer) -> RedisUse:
    found = RedisUse.read(redis.url)
    assert found is not None
    return found


def _knows_scripts(redis: RedisServer) -> None:
    """As a server does that agents have asked before."""
    with redis.client() as client:
        for one in vars(scripts).values():
            if isinstance(one, scripts.Script):
                client.script_load(one)


def _begin(redis: RedisServer) -> tuple[RedisUse, RedisUse]:
    """What was done until now, and what a look costs: its answer counts after it."""
    first = _look(redis)
    before = _look(redis)
    return before, before.since(first)


def _without_looking(redis: RedisServer, before: RedisUse, look: RedisUse) -> RedisUse:
    """What was done since, less the bytes of one look."""
    used = _look(redis).since(before)
    return replace(
        used,
        bytes_in=used.bytes_in - look.bytes_in,
        bytes_out=used.bytes_out - look.bytes_out,
    )


async def test_its_commands_are_a_real_server_s_one_by_one(redis: RedisServer) -> None:
    real = RedisStore.open(redis.url, timeout_s=5.0)
    simulated = SimulatedRedis(Timeline(), _TASK, _IDLE, listeners=0)
    try:
        _knows_scripts(redis)
        await real.apps()  # the connection's own commands come before
        begun = _begin(redis)
        seen = await _use(real)
        used = _without_looking(redis, *begun)
    finally:
        await real.close()
    counted = await _use(simulated)
    ledger = _ledger_of(simulated)
    assert dict(ledger.commands) == used.commands
    assert ledger.bytes_in == pytest.approx(used.bytes_in, rel=0.02)
    assert ledger.bytes_out == pytest.approx(used.bytes_out, rel=0.05)
    assert {key: pytest.approx(sums) for key, sums in counted.items()} == seen


async def test_a_window_costs_what_a_real_server_says(redis: RedisServer) -> None:
    real = RedisStore.open(redis.url, timeout_s=5.0)
    timeline = Timeline()
    simulated = SimulatedRedis(timeline, _TASK, _IDLE, listeners=0)
    try:
        for number, batch in enumerate(_batches(60)):
            await real.add(batch, number * 4.0)
            simulated.deliver(batch, number * 4.0)
        _knows_scripts(redis)
        begun = _begin(redis)
        await real.counts(_TASK, window_s=300.0)
        used = _without_looking(redis, *begun)
    finally:
        await real.close()
    cost = simulated.window(300.0)
    assert dict(cost.commands) == used.commands
    assert cost.bytes_in == pytest.approx(used.bytes_in, rel=0.03)
    assert cost.bytes_out == pytest.approx(used.bytes_out, rel=0.1)


async def test_a_window_that_all_share_costs_what_a_real_server_says(redis: RedisServer) -> None:
    real = RedisStore.open(redis.url, timeout_s=5.0)
    simulated = SimulatedRedis(Timeline(), _TASK, _IDLE, listeners=0)
    used = []
    try:
        for number, batch in enumerate(_batches(60)):
            await real.add(batch, number * 4.0)
            simulated.deliver(batch, number * 4.0)
        _knows_scripts(redis)
        for _ in range(2):
            begun = _begin(redis)
            await real.counts(_TASK, window_s=300.0, old_s=60.0)
            used.append(_without_looking(redis, *begun))
    finally:
        await real.close()
    for cost, one in zip(simulated.window_of_all(300.0), used, strict=True):
        assert dict(cost.commands) == one.commands
        assert cost.bytes_in == pytest.approx(one.bytes_in, rel=0.03)
        assert cost.bytes_out == pytest.approx(one.bytes_out, rel=0.05)


async def test_it_holds_what_the_memory_store_holds() -> None:
    simulated = SimulatedRedis(Timeline(), _TASK, SERVER, listeners=3)
    memory = MemoryStore(clock=lambda: 1e6)
    for batch in _batches(40):
        simulated.deliver(batch, 0.0)
        await memory.add(batch, 0.0)
    found = await simulated.counts(_TASK, window_s=300.0)
    wanted = await memory.counts(_TASK, window_s=300.0)
    assert {key: pytest.approx(sums) for key, sums in wanted.items()} == found
    assert {key: pytest.approx(sums) for key, sums in wanted.items()} == simulated.everything


def test_nothing_is_counted_and_nothing_costs_while_it_is_out() -> None:
    timeline = Timeline()
    simulated = SimulatedRedis(timeline, _TASK, SERVER, listeners=3, outage=(10.0, 20.0))
    [batch] = _batches(1)
    timeline.now = 10.0
    with pytest.raises(StoreUnavailable):
        simulated.deliver(batch, 0.0)
    assert simulated.ledger.sent == 0
    assert simulated.answers == 0
    timeline.now = 20.0
    simulated.deliver(batch, 10.0)
    assert simulated.answers > 0


def test_calls_wait_for_one_another() -> None:
    simulated = SimulatedRedis(Timeline(), _TASK, Server(0.1, 0.0, 0.0, 0.0, 0.25), listeners=0)
    done = simulated.serve_many(np.array([0.0, 0.0, 0.05, 1.0]), Cost({"get": 1}, 1, 10, 10))
    assert done.tolist() == pytest.approx([0.1, 0.2, 0.3, 1.1])
    assert simulated.busy_s == pytest.approx(0.4)


def test_a_batch_without_an_answer_in_time_is_there_and_is_not_counted_again() -> None:
    timeline = Timeline()
    simulated = SimulatedRedis(timeline, _TASK, Server(1.0, 0.0, 0.0, 0.0, 0.5), listeners=0)
    first, second = _batches(2)
    simulated.deliver(first, 0.0)
    with pytest.raises(StoreUnavailable):
        simulated.deliver(second, 0.0)
    assert simulated.missing([second]) == 0
    counted, before = simulated.answers, simulated.ledger.copy()
    timeline.now = 5.0
    simulated.deliver(second, 5.0)
    again = simulated.ledger.since(before)
    assert dict(again.commands) == {"evalsha": 1, "time": 1, "set": 1}
    assert simulated.answers == counted == answers_of(first.counts) + answers_of(second.counts)
    simulated.settle()
    assert answers_of(simulated.everything) == counted


def test_a_batch_that_was_too_long_on_its_way_is_not_there() -> None:
    timeline = Timeline()
    simulated = SimulatedRedis(timeline, _TASK, Server(6.0, 0.0, 0.0, 0.0, 0.5), listeners=0)
    first, second = _batches(2)
    simulated.deliver(first, 0.0)
    with pytest.raises(StoreUnavailable):
        simulated.deliver(second, 0.0)
    assert simulated.missing([second]) == answers_of(second.counts)
    timeline.now = 20.0
    simulated.deliver(second, 20.0)
    assert simulated.answers == answers_of(first.counts) + answers_of(second.counts)


async def test_a_batch_that_is_there_costs_what_a_real_server_says(redis: RedisServer) -> None:
    real = RedisStore.open(redis.url, timeout_s=5.0)
    costs = SimulatedRedis(Timeline(), _TASK, _IDLE, listeners=0).costs
    batches = _batches(60)
    try:
        _knows_scripts(redis)
        for batch in batches:
            await real.add(batch, 0.0)
        begun = _begin(redis)
        for batch in batches:
            await real.add(batch, 0.0)
        used = _without_looking(redis, *begun)
    finally:
        await real.close()
    ledger = Ledger()
    for batch in batches:
        ledger.note(costs.not_added(costs.add(batch, 0.0, 1e6, 0, begins=False), again=True))
    assert dict(ledger.commands) == used.commands
    assert ledger.bytes_in == pytest.approx(used.bytes_in, rel=0.03)
    assert ledger.bytes_out == pytest.approx(used.bytes_out, rel=0.2)


def test_calls_one_by_one_are_as_calls_together() -> None:
    times = np.cumsum(np.random.default_rng(6).exponential(0.1, 200))
    cost = Cost({"evalsha": 1, "get": 3}, 1, 10, 20, 4)
    server = Server(0.05, 0.01, 0.002, 0.0, 0.25)
    together = SimulatedRedis(Timeline(), _TASK, server, listeners=0)
    done = together.serve_many(times, cost)
    timeline = Timeline()
    alone = SimulatedRedis(timeline, _TASK, server, listeners=0)
    for now, wanted in zip(times.tolist(), done.tolist(), strict=True):
        timeline.now = now
        if np.isnan(wanted):
            with pytest.raises(StoreUnavailable):
                alone.serve(cost)
        else:
            assert alone.serve(cost) == pytest.approx(wanted)
    assert 0 < alone.timeouts == together.timeouts < 200
    assert alone.calls == together.calls and alone.ledger == together.ledger
    assert alone.busy_s == pytest.approx(together.busy_s)


def test_who_is_out_when_is_the_same_for_one_and_for_many() -> None:
    times = np.array([0.0, 9.9, 10.0, 19.9, 20.0])
    for outage in (None, (10.0, 20.0)):
        simulated = SimulatedRedis(Timeline(), _TASK, SERVER, listeners=0, outage=outage)
        assert simulated.out_at(times).tolist() == [simulated.out(one) for one in times]


@given(
    st.dictionaries(
        st.builds(CountKey, st.just(_TASK), st.text(max_size=4), st.sampled_from(["0.9", "", "é"])),
        st.dictionaries(
            st.sampled_from(["answers/edge/0", "errors", 'é"']), st.floats(), max_size=3
        ),
        max_size=3,
    ),
    st.floats(-1.0, 1e5),
)
def test_a_batch_s_bytes_are_those_of_its_text(
    found: dict[CountKey, dict[str, float]], age_s: float
) -> None:
    """They are added up from parts; as text it is what a store sends."""
    costs = SimulatedRedis(Timeline(), _TASK, _IDLE, listeners=0).costs
    add = partial(costs.add, age_s=age_s, now=1e6, new_keys=0, begins=False)
    rows = [
        [
            prefix_of(key),
            int(bounded(key)),
            [
                part
                for name, amount in sums.items()
                if math.isfinite(amount)
                for part in (f'"{name}"]', repr(amount))
            ],
        ]
        for key, sums in found.items()
    ]
    empty = add(Batch("0", 0.0, {})).bytes_in - request("[]")
    assert add(Batch("0", 0.0, found)).bytes_in - empty == request(orjson.dumps(rows))


def test_who_waits_too_long_has_no_answer_but_the_work_is_done() -> None:
    simulated = SimulatedRedis(Timeline(), _TASK, Server(0.1, 0.0, 0.0, 0.0, 0.25), listeners=0)
    done = simulated.serve_many(np.zeros(5), Cost({"get": 1}, 1, 10, 10))
    assert np.isnan(done).tolist() == [False, False, False, True, True]
    assert simulated.ledger.commands["get"] == 5
    assert simulated.timeouts == 2
