"""Counts in shared memory outlive whoever counted them."""

from __future__ import annotations

import os
import signal

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.counters import Counters
from hawkvision.tracking.store.kept import KeptCounters, shared_memory

KEY = CountKey("signs", "", "0.9")


def test_what_a_killed_process_counted_is_counted_on() -> None:
    memory = shared_memory()
    pid = os.fork()
    if pid == 0:
        counters = KeptCounters(memory)
        for _ in range(5):
            counters.add(KEY, "answers/edge/0")
        counters.add(CountKey("ä", 'a"\n', "0.8"), "x", 0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    counters = KeptCounters(memory)
    counters.add(KEY, "answers/edge/0")
    batch = counters.take(1.0)
    assert batch is not None
    assert batch.counts == {KEY: {"answers/edge/0": 6.0}, CountKey("ä", 'a"\n', "0.8"): {"x": 0.5}}


def test_a_batch_is_left_until_it_is_kept_and_under_its_own_id() -> None:
    memory = shared_memory()
    counters = KeptCounters(memory)
    counters.add(KEY, "x", 2.0)
    batch = counters.take(7.0)
    assert batch is not None
    counters.add(KEY, "x", 3.0)
    after = KeptCounters(memory)
    assert after.left == [batch]
    after.kept(batch)
    assert KeptCounters(memory).left == []
    taken = after.take(8.0)
    assert taken is not None
    assert taken.counts == {KEY: {"x": 3.0}}


def test_a_batch_that_was_put_back_is_there_once() -> None:
    memory = shared_memory()
    counters = KeptCounters(memory)
    counters.add(KEY, "x", 2.0)
    batch = counters.take(7.0)
    assert batch is not None
    counters.add(KEY, "x", 1.0)
    counters.put_back(batch)
    after = KeptCounters(memory)
    assert after.left == []
    taken = after.take(8.0)
    assert taken is not None
    assert taken.counts == {KEY: {"x": 3.0}}


def test_where_nothing_is_kept_counting_goes_on() -> None:
    counters, taken = KeptCounters(shared_memory()), []
    for number in range(6):
        counters.add(KEY, "x", 2.0**number)
        taken.append(counters.take(float(number)))
    assert [batch is None for batch in taken] == [False] * 3 + [True] * 3
    batch = taken[0]
    assert isinstance(batch, Batch)
    counters.kept(batch)
    last = counters.take(9.0)
    assert last is not None
    assert last.counts == {KEY: {"x": 2.0**3 + 2.0**4 + 2.0**5}}


def test_more_measures_than_fit_are_counted_all_the_same() -> None:
    counters = KeptCounters(shared_memory())
    for number in range(70_000):
        counters.add(KEY, str(number))
    batch = counters.take(1.0)
    assert batch is not None
    assert len(batch.counts[KEY]) == 70_000


AMOUNTS = st.floats(-1e6, 1e6)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "take", "keep", "back", "die"]), st.integers(0, 5), AMOUNTS),
    max_size=40,
)


@given(STEPS)
def test_it_counts_as_plain_counters_do_whenever_it_dies(
    steps: list[tuple[str, int, float]],
) -> None:
    memory = shared_memory()
    counters, plain = KeptCounters(memory, 3), Counters(3)
    taken: list[Batch] = []
    for what, number, amount in steps:
        key = CountKey("signs", f"app{number}", "0.9")
        if what == "add":
            counters.add(key, "x", amount)
            plain.add(key, "x", amount)
        elif what == "take" and len(taken) < 3 and (batch := counters.take(0.0)) is not None:
            expected = plain.take(0.0)
            assert expected is not None
            assert batch.counts == expected.counts
            taken.append(batch)
        elif what == "keep" and taken:
            counters.kept(taken.pop(0))
        elif what == "back" and taken:
            batch = taken.pop(0)
            counters.put_back(batch)
            plain.put_back(batch)
        elif what == "die":
            counters = KeptCounters(memory, 3)
            by_id = {batch.batch_id: batch for batch in counters.left}
            assert by_id == {batch.batch_id: batch for batch in taken}
    while taken:
        counters.kept(taken.pop())
    last, expected = counters.take(0.0), plain.take(0.0)
    assert (last is None) == (expected is None)
    if last is not None and expected is not None:
        assert last.counts == expected.counts
