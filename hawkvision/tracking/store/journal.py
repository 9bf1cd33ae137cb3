"""Batches that the store has not acknowledged yet, in a file so that a crash loses none.

A disk that is full, read-only or broken costs no counts while the process lives: they wait in
memory until the file can be written again. What is wrong is told by SQLite's error codes, never by
its words. Source: sqlite.org, "Result and Error Codes".
"""

from __future__ import annotations

import contextlib
import errno
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch
from hawkvision.tracking.store.batches import NOTHING, Batches

_log = logging.getLogger(__name__)
_TRY_AGAIN_S = 5.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MAY_PASS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
"""What an open file may get over; else it is opened anew, as it may lie on another disk by then."""
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_PERM: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another process holds it",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_IOERR_LOCK: "it cannot be locked for writing",
}

OK = "ok"
Out = TypeVar("Out")


class Ticket(NamedTuple):
    """Which batch it is, of those in memory or of those in the file."""

    in_memory: bool
    number: int


class Journal:
    """Oldest first, in at most `max_bytes`; calls are short and may come from several threads.

    When these are exceeded, batches that were never sent are merged into one (counts are additive;
    their times become the newest one's). If that is not enough the oldest are dropped and counted
    in `dropped`. Without a `path` everything is in memory. A damaged file is moved aside. Raises
    StoreUnavailable where another process holds the file at the start; no other call raises.
    """

    def __init__(
        self,
        path: Path | None,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._memory = Batches(None, max_bytes)
        self._file: Batches | None = None
        self._remembered = NOTHING
        self._ill = ""
        self._reopen = True
        self._try_at = clock()
        self._unreadable = 0
        if path is not None:
            try:
                self._file = self._open(path)
            except (sqlite3.Error, OSError) as error:
                if _code(error) in _HELD:
                    raise StoreUnavailable(
                        f"the journal {path} is held by another process",
                        hint="Give each agent a --journal of its own.",
                    ) from error
                self._fell_ill(error)

    @property
    def state(self) -> str:
        """`ok`, or `memory: …` with the reason why batches cannot go to the file."""
        return f"memory: {self._ill}" if self._ill else OK

    @property
    def outlives_us(self) -> bool:
        """Whether what waits is still there when this process is gone."""
        return not self._memory

    @property
    def dropped(self) -> int:
        """Batches for which there was no room, or that could not be read."""
        return self._unreadable + self._memory.dropped + (self._file.dropped if self._file else 0)

    def __len__(self) -> int:
        return len(self._memory) + (0 if self._file is None else len(self._file))

    def append(self, batch: Batch) -> None:
        """Keep a batch."""
        data = batch.encode()
        with self._lock:
            self._recover()
            if self._file is not None and not self._ill:
                try:
                    self._file.append(data)
                except sqlite3.Error as error:
                    self._fell_ill(error)
                else:
                    self._attempt(self._file.shrink)
                    return
            self._memory.append(data)
            self._memory.shrink()

    def oldest(self) -> tuple[Ticket, Batch] | None:
        """The oldest batch, which counts as sent from now on; None if there is none."""
        with self._lock:
            self._recover()
            for in_memory, batches in ((False, self._file), (True, self._memory)):
                while batches is not None and (found := self._attempt(batches.oldest)) is not None:
                    number, data, sent = found
                    if not sent:
                        self._attempt(batches.mark_sent, number)
                    try:
                        return Ticket(in_memory, number), Batch.decode(data)
                    except ValueError:
                        self._unreadable += 1
                        self._attempt(batches.remove, number)
            return None

    def remove(self, ticket: Ticket) -> None:
        """Forget a batch that the store has acknowledged."""
        with self._lock:
            batches = self._memory if ticket.in_memory else self._file
            if batches is not None:
                self._attempt(batches.remove, ticket.number)

    def adopt(self, path: Path) -> int:
        """Take over what waits in the file of a journal that nobody has any more; how many batches.

        The file then goes. One that is held or damaged is left alone, and so are all while batches
        cannot go to our own file.
        """
        with self._lock:
            if self._file is None or self._ill:
                return 0
            try:
                other = Batches(path, self._max_bytes)
            except (sqlite3.Error, OSError) as error:
                _log.warning("the journal %s is left alone: %s", path, error)
                return 0
            try:
                waiting, sent = other.every()
                if waiting:
                    self._file.append(*waiting, sent=sent)
                other.clear()  # whoever dies before this has them twice, and counts them once
            except sqlite3.Error as error:
                _log.warning("the journal %s is left alone: %s", path, error)
                return 0
            finally:
                other.close()
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            self._attempt(self._file.shrink)
            return len(waiting)

    def close(self) -> None:
        """Close the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._memory.close()
            if self._file is not None:
                self._file.close()

    def _attempt(self, work: Callable[..., Out], *arguments: Any) -> Out | None:
        try:
            return work(*arguments)
        except sqlite3.Error as error:
            self._fell_ill(error)
            return None

    def _open(self, path: Path) -> Batches:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Batches(path, self._max_bytes, self._remembered)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
            _set_aside(path)
            return Batches(path, self._max_bytes, self._remembered)

    def _let_go(self) -> None:
        if self._file is not None:
            self._remembered = self._file.remembered
            self._unreadable += self._file.dropped
            with contextlib.suppress(sqlite3.Error):
                self._file.close()
            self._file = None

    def _fell_ill(self, error: sqlite3.Error | OSError) -> None:
        code = _code(error)
        exact = getattr(error, "sqlite_errorcode", code)
        why = _REASONS.get(exact) or _REASONS.get(code) or f"{type(error).__name__}: {error}"
        if why != self._ill:
            _log.warning("the journal %s: %s; counts wait in memory", self._path, why)
        self._ill = why
        self._reopen = code not in _MAY_PASS
        if code in _DAMAGED:
            self._unreadable += 0 if self._file is None else len(self._file)
            self._let_go()
        self._try_at = self._clock() + (0 if code in _DAMAGED else _TRY_AGAIN_S)

    def _recover(self) -> None:
        """Try the file again every few seconds; once it can be written it takes all that waits."""
        if self._path is None or not self._ill or self._clock() < self._try_at:
            return
        try:
            if self._reopen:
                self._let_go()
            if self._file is None:
                self._file = self._open(self._path)
            self._file.tidy()
            waiting, sent = self._memory.every()
            if waiting:
                self._file.append(*waiting, sent=sent)
                self._memory.clear()
                self._file.shrink()
        except (sqlite3.Error, OSError) as error:
            self._fell_ill(error)
            return
        self._ill = ""
        _log.warning("the journal %s can be written again", self._path)


def _code(error: sqlite3.Error | OSError) -> int:
    """The primary result code; what SQLite says for the same in place of an errno."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if error.errno == errno.ENOSPC:
        return sqlite3.SQLITE_FULL
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return sqlite3.SQLITE_READONLY
    return sqlite3.SQLITE_CANTOPEN


def _set_aside(path: Path) -> None:
    """A damaged file with all that belongs to it; one that was set aside before is replaced."""
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.replace(f"{path}.damaged{suffix}")
    _log.warning("the journal %s is damaged and was moved to %s.damaged", path, path)
