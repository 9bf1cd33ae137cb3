"""What was counted since somebody read last, at a cost that follows what is new. Sans-I/O.

Counts go to the open page. A reader that has come to the open page closes it and is given its
sums; a reader that is behind is given the closed pages that it lacks, and closes nothing, so a
reader whose replies get lost uses up one page and not one each time. `PAGES` pages are kept:
a reader that is further behind starts anew. Redis keeps the same pages by the same rules
(`redis/scripts.py`).
"""

from __future__ import annotations

import secrets

from hawkvision.tracking.records import CountKey, Counts, Fresh, merge

PAGES = 4


class Pages:
    """Of one task. A cursor names these pages and the first one that the reader lacks."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(8)
        self._open = 1
        self._pages: dict[int, dict[CountKey, dict[str, float]]] = {1: {}}

    def add(self, counts: Counts) -> None:
        """Count on the open page."""
        merge(self._pages[self._open], counts)

    def since(self, cursor: str | None) -> Fresh:
        """What the reader with this cursor lacks; a baseline where that is not known."""
        epoch, _, number = (cursor or "").partition(":")
        first = int(number) if epoch == self._epoch else 0
        if first not in self._pages:
            self._turn()
            return Fresh({}, self._cursor(), baseline=True)
        if first == self._open:
            self._turn()
        fresh: dict[CountKey, dict[str, float]] = {}
        for page in range(first, self._open):
            merge(fresh, self._pages[page])
        return Fresh(fresh, self._cursor())

    def _cursor(self) -> str:
        return f"{self._epoch}:{self._open}"

    def _turn(self) -> None:
        if self._pages[self._open]:
            self._open += 1
            self._pages[self._open] = {}
            self._pages.pop(self._open - PAGES, None)
