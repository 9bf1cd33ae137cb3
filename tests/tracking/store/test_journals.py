"""Journals of several workers: none is left undelivered when there are fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.journals import gather, journal_of, left_over

KEY = CountKey("signs", "", "0.9")


def write(path: Path, *names: str) -> None:
    journal = Journal(path)
    for name in names:
        journal.append(Batch(name, 1.0, {KEY: {"x": 1.0}}))
    journal.close()


def waiting(path: Path) -> list[str]:
    journal, names = Journal(path), []
    while (found := journal.oldest()) is not None:
        names.append(found[1].batch_id)
        journal.remove(found[0])
    journal.close()
    return names


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_what_nobody_has_any_more_goes_to_the_first(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "journal.db"
    write(path, "alone")
    for index in range(3):
        write(journal_of(path, index), f"{index}a", f"{index}b")
    write(tmp_path / "other-1.db", "not ours")
    gather(path, workers)
    own = [path] if workers == 0 else [journal_of(path, index) for index in range(workers)]
    assert left_over(path, workers) == []
    found = [name for one in own for name in waiting(one)]
    assert sorted(found) == ["0a", "0b", "1a", "1b", "2a", "2b", "alone"]
    if workers == 2:
        assert waiting(own[1]) == []
    assert waiting(tmp_path / "other-1.db") == ["not ours"]


def test_one_that_is_held_or_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(journal_of(path, 1), "held")
    journal_of(path, 2).write_bytes(b"no database" * 1000)
    holder = Journal(journal_of(path, 1))
    gather(path, 1)
    assert left_over(path, 1) == [journal_of(path, 1), journal_of(path, 2)]
    holder.close()
    gather(path, 1)
    assert waiting(journal_of(path, 0)) == ["held"]
    assert journal_of(path, 2).exists()


def test_a_first_journal_that_is_held_is_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(journal_of(path, 1), "x")
    holder = Journal(journal_of(path, 0))
    with pytest.raises(StoreUnavailable, match="held by another process"):
        gather(path, 1)
    holder.close()
