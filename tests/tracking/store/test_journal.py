"""The journal outlives its process and stays within its bound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.bound import MOST_KEYS
from hawkvision.tracking.store.journal import Journal

KEY = CountKey("signs", "", "0.9")


def batch(number: int, amount: float = 1.0) -> Batch:
    return Batch(f"b{number}", 1000.0 + number, {KEY: {"answers/edge/0": amount}})


def drain(journal: Journal) -> list[Batch]:
    found = []
    while (oldest := journal.oldest()) is not None:
        found.append(oldest[1])
        journal.remove(oldest[0])
    return found


def test_batches_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for number in range(5):
        journal.append(batch(number))
    journal.close()
    again = Journal(tmp_path / "j.db")
    assert len(again) == 5
    assert drain(again) == [batch(number) for number in range(5)]
    again.close()


def test_what_was_appended_survives_sigkill(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.tracking.store.test_journal import Journal, batch\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for number in range(30): journal.append(batch(number))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "j.db")]
    assert subprocess.run(words, check=False, timeout=60).returncode == -9
    journal = Journal(tmp_path / "j.db")
    assert len(drain(journal)) == 30
    journal.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    with pytest.raises(StoreUnavailable, match="another process"):
        Journal(tmp_path / "j.db")
    journal.close()


def test_a_damaged_file_is_moved_aside_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"no database" * 1000)
    journal = Journal(path)
    journal.append(batch(1))
    assert (len(journal), journal.state, journal.outlives_us) == (1, "ok", True)
    for suffix in ("", "-shm"):
        assert Path(f"{path}.damaged{suffix}").read_bytes().startswith(b"no database")
    assert not Path(f"{path}-wal").read_bytes().startswith(b"no database")
    journal.close()


def test_a_file_with_torn_pages_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    for number in range(200):
        journal.append(batch(number))
    journal.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    again = Journal(path)
    again.append(batch(1000))
    assert drain(again)[-1] == batch(1000)
    assert again.state == "ok"
    assert Path(f"{path}.damaged").exists()
    again.close()


def test_a_file_that_breaks_in_use_costs_only_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    for number in range(1500):
        journal.append(Batch(f"b{number}", 1.0, {KEY: {"x" * 3000: 1.0}}))
    for part in (path, Path(f"{path}-wal")):
        with part.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (part.stat().st_size - 4096))
    drain(journal)
    journal.append(batch(1))
    assert (drain(journal), journal.state) == ([batch(1)], "ok")
    assert journal.dropped > 0
    assert Path(f"{path}.damaged").exists()
    journal.close()


def test_a_full_journal_merges_and_loses_no_count() -> None:
    journal = Journal(None, max_bytes=2000)
    for number in range(300):
        journal.append(batch(number))
    assert len(journal) < 40
    assert sum(found.counts[KEY]["answers/edge/0"] for found in drain(journal)) == 300
    assert journal.dropped == 0
    journal.close()


def test_a_batch_that_was_sent_is_never_merged() -> None:
    journal = Journal(None, max_bytes=1000)
    journal.append(batch(0))
    assert journal.oldest() is not None
    for number in range(1, 100):
        journal.append(batch(number))
    found = drain(journal)
    assert found[0] == batch(0)
    assert sum(one.counts[KEY]["answers/edge/0"] for one in found) == 100
    journal.close()


def test_what_cannot_be_merged_is_dropped_and_counted() -> None:
    journal = Journal(None, max_bytes=3000)
    for number in range(100):
        key = CountKey("signs", f"app {number}", "0.9")
        journal.append(Batch(f"b{number}", 1.0, {key: {"x" * 50: 1.0}}))
    assert journal.dropped > 0
    journal.close()


def test_merging_keeps_the_bound_on_keys() -> None:
    journal = Journal(None, max_bytes=100_000)
    for number in range(2000):
        key = CountKey("signs", f"app {number}", "0.9")
        journal.append(Batch(f"b{number}", 1.0, {key: {"answers/edge/0": 1.0}}))
    found = drain(journal)
    assert max(len(one.counts) for one in found) <= MOST_KEYS + 1
    assert sum(sums["answers/edge/0"] for one in found for sums in one.counts.values()) == 2000
    assert journal.dropped == 0
    journal.close()


def test_a_batch_that_was_dropped_while_it_was_sent_takes_no_other_along() -> None:
    journal = Journal(None, max_bytes=200)
    journal.append(Batch("sent", 1.0, {KEY: {"x" * 100: 1.0}}))
    sending = journal.oldest()
    assert sending is not None
    journal.append(Batch("next", 1.0, {KEY: {"y" * 100: 1.0}}))
    assert (len(journal), journal.dropped) == (1, 1)
    journal.remove(sending[0])
    assert [one.batch_id for one in drain(journal)] == ["next"]
    journal.close()


def test_a_batch_that_was_sent_before_a_restart_is_never_merged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append(batch(0))
    assert journal.oldest() is not None
    journal.close()
    again = Journal(tmp_path / "j.db", max_bytes=1000)
    for number in range(1, 100):
        again.append(batch(number))
    assert drain(again)[0] == batch(0)
    again.close()


names = st.text(max_size=20)


@given(
    st.builds(
        Batch,
        names,
        st.floats(0, 1e10),
        st.dictionaries(
            st.builds(CountKey, names, names, names),
            st.dictionaries(names, st.floats(-1e9, 1e9)),
            max_size=4,
        ),
    )
)
def test_a_batch_is_what_was_encoded(original: Batch) -> None:
    assert Batch.decode(original.encode()) == original


@given(st.binary(max_size=60))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    try:
        Batch.decode(data)
    except ValueError:
        return
