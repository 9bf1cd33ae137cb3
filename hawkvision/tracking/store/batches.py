"""Batches that wait, in an SQLite table: a file's or one in memory. Raises sqlite3.Error.

WAL with synchronous=NORMAL survives the death of the process; a power cut may lose the last
batches. Source: sqlite.org, "Write-Ahead Logging".
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.bound import fold

_CREATE = (
    "CREATE TABLE IF NOT EXISTS batches "
    "(id INTEGER PRIMARY KEY, tried INTEGER NOT NULL DEFAULT 0, data BLOB NOT NULL)"
)


class Damaged(sqlite3.DatabaseError):
    """The file is a database that contradicts itself."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class Remembered(NamedTuple):
    """Batches up to `done` are done with, and up to `sent` were sent, though the file may not say
    so; `last` was the last number given."""

    done: int
    sent: int
    last: int


NOTHING = Remembered(0, 0, 0)


class Batches:
    """Oldest first, in at most `max_bytes`. Use it from one thread at a time.

    Batches are sent in order. So where a full disk does not let it write that they were sent, or
    are done with, remembering one number for each is enough. No number is used twice.
    """

    def __init__(self, path: Path | None, max_bytes: int, remembered: Remembered = NOTHING) -> None:
        self._max_bytes = max_bytes
        self._done, self._sent, self._last = remembered
        self._rows = self._bytes = 0
        self.dropped = 0
        self._db = _open(":memory:" if path is None else str(path))
        self._measure()

    @property
    def remembered(self) -> Remembered:
        """What must not be forgotten when the file is closed and opened again."""
        return Remembered(self._done, self._sent, self._last)

    def __len__(self) -> int:
        return self._rows

    def _measure(self) -> None:
        last, self._rows, self._bytes = self._db.execute(
            "SELECT COALESCE(MAX(id), 0), COUNT(*), COALESCE(SUM(LENGTH(data)), 0) "
            "FROM batches WHERE id > ?",
            (self._done,),
        ).fetchone()
        self._last = max(self._last, last)

    def append(self, *encoded: bytes, sent: int = 0) -> None:
        """Keep encoded batches, all or none; the store may already have the first `sent` ones."""
        rows = [(self._last + 1 + index, data, index < sent) for index, data in enumerate(encoded)]
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany("INSERT INTO batches (id, data, tried) VALUES (?, ?, ?)", rows)
        self._last += len(rows)
        self._rows += len(rows)
        self._bytes += sum(map(len, encoded))

    def every(self) -> tuple[list[bytes], int]:
        """All batches in order, and how many of them were sent."""
        rows = self._db.execute(
            "SELECT data, tried OR id <= ? FROM batches WHERE id > ? ORDER BY id",
            (self._sent, self._done),
        ).fetchall()
        return [row[0] for row in rows], sum(row[1] for row in rows)

    def clear(self) -> None:
        """All are done with."""
        self._db.execute("DELETE FROM batches")
        self._done = self._last
        self._rows = self._bytes = 0

    def oldest(self) -> tuple[int, bytes, bool] | None:
        """Number, content, and whether it was sent before; None if there is none."""
        row = self._db.execute(
            "SELECT id, data, tried FROM batches WHERE id > ? ORDER BY id LIMIT 1", (self._done,)
        ).fetchone()
        return None if row is None else (row[0], row[1], bool(row[2]) or row[0] <= self._sent)

    def mark_sent(self, number: int) -> None:
        """The oldest is being sent: from now on it stays as it is."""
        self._sent = number
        self._db.execute("UPDATE batches SET tried = 1 WHERE id = ?", (number,))

    def remove(self, number: int) -> None:
        """The oldest is done with, even if this raises; nothing, where it is gone already."""
        if number <= self._done:
            return
        self._done = number
        row = self._db.execute("SELECT LENGTH(data) FROM batches WHERE id = ?", (number,))
        for [length] in row.fetchall():
            self._rows -= 1
            self._bytes -= length
        self._db.execute("DELETE FROM batches WHERE id <= ?", (number,))

    def tidy(self) -> None:
        """Write down what is only remembered, and so find out whether anything can be written."""
        with contextlib.suppress(sqlite3.Error):  # it may make room
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.execute("DELETE FROM batches WHERE id <= ?", (self._done,))
            self._db.execute("UPDATE batches SET tried = 1 WHERE id <= ?", (self._sent,))
            self._db.execute("PRAGMA user_version = 1")  # writes, even where there is no row

    def shrink(self) -> None:
        """Back within the bound: merge what was never sent, then drop the oldest.

        A batch that was sent may be counted already, and stays as it is.
        """
        if self._bytes <= self._max_bytes:
            return
        rows = self._db.execute(
            "SELECT id, data FROM batches WHERE tried = 0 AND id > ? ORDER BY id",
            (max(self._done, self._sent),),
        ).fetchall()
        batches = [(row[0], batch) for row in rows if (batch := _decoded(row[1])) is not None]
        if len(rows) > 1:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                self._db.executemany("DELETE FROM batches WHERE id = ?", [row[:1] for row in rows])
                if batches:
                    row = (batches[-1][0], _merged([batch for _, batch in batches]))
                    self._db.execute("INSERT INTO batches (id, data) VALUES (?, ?)", row)
            self.dropped += len(rows) - len(batches)
        self._measure()
        while self._bytes > self._max_bytes and (oldest := self.oldest()) is not None:
            self.remove(oldest[0])
            self.dropped += 1

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _decoded(data: bytes) -> Batch | None:
    try:
        return Batch.decode(data)
    except ValueError:
        return None


def _merged(batches: list[Batch]) -> bytes:
    """One batch for several, under the id and time of the newest."""
    total: dict[CountKey, dict[str, float]] = {}
    for batch in batches:
        fold(total, batch.counts)
    return Batch(batches[-1].batch_id, batches[-1].time_s, total).encode()


def _open(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=0.5, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(_CREATE)
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise Damaged("the file contradicts itself")
    except sqlite3.Error:
        db.close()
        raise
    return db
