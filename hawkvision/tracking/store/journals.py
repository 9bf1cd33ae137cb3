"""Journals of several workers: a file each, and what is left of those that nobody has any more.

Of `journal.db` the workers have `journal-0.db`, `journal-1.db`, …, each the same one every time.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from hawkvision.tracking.store.journal import Journal

_log = logging.getLogger(__name__)


def journal_of(path: Path, worker: int) -> Path:
    """A worker's own."""
    return path.with_name(f"{path.stem}-{worker}{path.suffix}")


def left_over(path: Path, workers: int) -> list[Path]:
    """Files of this family that none of so many workers has; 0 workers: one process has `path`."""
    own = {path} if workers == 0 else {journal_of(path, worker) for worker in range(workers)}
    form = re.compile(rf"{re.escape(path.stem)}(-\d+)?{re.escape(path.suffix)}")
    if not path.parent.is_dir():
        return []
    return sorted(
        one
        for one in path.parent.iterdir()
        if form.fullmatch(one.name) and one not in own and one.is_file()
    )


def gather(path: Path, workers: int) -> None:
    """Bring what is left over into the journal of the first worker, or of the one process.

    Raises StoreUnavailable where another process holds that one.
    """
    found = left_over(path, workers)
    if not found:
        return
    journal = Journal(path if workers == 0 else journal_of(path, 0))
    try:
        for one in found:
            count = journal.adopt(one)
            if count:
                _log.info("%d batches of counts were left in the journal %s", count, one)
    finally:
        journal.close()
