"""What waits in a simulated agent is what would wait in the product's journal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.batches import Batches
from loadtest.bench.fleet_sim.backlog import Backlog

_MOST = 700
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3), st.integers(1, 12)),
        st.tuples(st.just("send"), st.just(0), st.just(0)),
        st.tuples(st.just("acknowledge"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


def _batch(number: int, target: int, names: int) -> Batch:
    key = CountKey("task@1", "", f"0.{target}")
    return Batch(f"{number:024d}", float(number), {key: {f"m{n}": 1.0 for n in range(names)}})


@given(_STEPS)
def test_it_keeps_merges_and_drops_as_the_journal_does(steps: list[tuple[str, int, int]]) -> None:
    journal, backlog = Batches(None, _MOST), Backlog(_MOST)
    try:
        for number, (what, target, names) in enumerate(steps):
            if what == "append":
                batch = _batch(number, target, names)
                journal.append(batch.encode())
                journal.shrink()
                backlog.append(batch)
            elif what == "send" and (oldest := journal.oldest()) is not None:
                journal.mark_sent(oldest[0])
                assert backlog.oldest() == Batch.decode(oldest[1])
            elif what == "acknowledge" and (oldest := journal.oldest()) is not None:
                journal.mark_sent(oldest[0])
                journal.remove(oldest[0])
                assert backlog.oldest() is not None
                backlog.remove()
            assert [Batch.decode(data) for data in journal.every()[0]] == backlog.all()
            assert journal.dropped == len(backlog.dropped)
    finally:
        journal.close()


def test_nothing_is_lost_where_counts_can_be_merged() -> None:
    backlog = Backlog(_MOST)
    for number in range(100):
        backlog.append(_batch(number, 0, 2))
    kept = sum(sum(sums.values()) for one in backlog.all() for sums in one.counts.values())
    assert kept == 200.0
    assert not backlog.dropped
