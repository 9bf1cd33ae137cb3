"""Batches that the store has not acknowledged yet, kept in SQLite so that a crash loses none.

WAL with synchronous=NORMAL survives the death of the process; a power cut may lose the last
batches. Source: sqlite.org, "Write-Ahead Logging".
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey, merge

_log = logging.getLogger(__name__)
_CREATE = (
    "CREATE TABLE IF NOT EXISTS batches "
    "(id INTEGER PRIMARY KEY, tried INTEGER NOT NULL DEFAULT 0, data BLOB NOT NULL)"
)


class Journal:
    """Oldest first; calls are short and may come from several threads.

    When `max_bytes` are exceeded, batches that were never sent are merged into one (counts are
    additive; their times become the newest one's). If that is not enough the oldest are dropped
    and counted in `dropped`. Raises StoreUnavailable where another process holds the file.
    """

    def __init__(self, path: Path | None, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.dropped = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if path is None or "locked" in str(error):
                raise StoreUnavailable(
                    f"the journal {path} is held by another process",
                    hint="Give each agent a --journal of its own.",
                ) from error
            aside = path.with_suffix(path.suffix + ".damaged")
            path.replace(aside)
            _log.warning("the journal %s is damaged and was moved to %s", path, aside)
            self._db = self._open()
        self._bytes = int(self._value("SELECT COALESCE(SUM(LENGTH(data)), 0) FROM batches"))

    def _open(self) -> sqlite3.Connection:
        name = ":memory:" if self._path is None else str(self._path)
        db = sqlite3.connect(name, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(_CREATE)
            db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _value(self, query: str) -> float:
        return float(self._db.execute(query).fetchone()[0])

    def append(self, batch: Batch) -> None:
        """Keep a batch."""
        data = batch.encode()
        with self._lock:
            self._db.execute("INSERT INTO batches (data) VALUES (?)", (data,))
            self._bytes += len(data)
            if self._bytes > self._max_bytes:
                self._shrink()

    def oldest(self) -> tuple[int, Batch] | None:
        """The number and content of the oldest batch, marked as tried; None if there is none."""
        with self._lock:
            while True:
                row = self._db.execute("SELECT id, data FROM batches ORDER BY id").fetchone()
                if row is None:
                    return None
                try:
                    batch = Batch.decode(row[1])
                except ValueError:
                    self._remove(row[0])
                    self.dropped += 1
                    continue
                self._db.execute("UPDATE batches SET tried = 1 WHERE id = ?", (row[0],))
                return int(row[0]), batch

    def remove(self, number: int) -> None:
        """Forget a batch that the store has acknowledged."""
        with self._lock:
            self._remove(number)

    def _remove(self, number: int) -> None:
        row = self._db.execute(
            "SELECT LENGTH(data) FROM batches WHERE id = ?", (number,)
        ).fetchone()
        if row is not None:
            self._db.execute("DELETE FROM batches WHERE id = ?", (number,))
            self._bytes -= row[0]

    def __len__(self) -> int:
        with self._lock:
            return int(self._value("SELECT COUNT(*) FROM batches"))

    def _shrink(self) -> None:
        """Merge what was never sent; a batch that was may be counted already and stays as it is."""
        rows = self._db.execute(
            "SELECT id, data FROM batches WHERE tried = 0 ORDER BY id"
        ).fetchall()
        total: dict[CountKey, dict[str, float]] = {}
        newest: Batch | None = None
        for _, data in rows:
            newest = Batch.decode(data)
            merge(total, newest.counts)
        if newest is not None and len(rows) > 1:
            merged = Batch(newest.batch_id, newest.time_s, total).encode()
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM batches WHERE tried = 0")
            self._db.execute("INSERT INTO batches (id, data) VALUES (?, ?)", (rows[-1][0], merged))
            self._db.execute("COMMIT")
        self._bytes = int(self._value("SELECT COALESCE(SUM(LENGTH(data)), 0) FROM batches"))
        while self._bytes > self._max_bytes:
            oldest = self._db.execute("SELECT id FROM batches ORDER BY id").fetchone()
            self._remove(oldest[0])
            self.dropped += 1

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
