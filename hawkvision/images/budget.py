"""One budget of bytes over all decodes that this process has under way."""

from __future__ import annotations

import threading
import time

from hawkvision.errors import Overloaded, PayloadTooLarge

PATIENCE_S = 1.0
"""So long a decode waits for others to end, seconds. It holds a worker meanwhile."""

_SMALL = 16
"""A decode of at most this part of the budget is a small one."""

_KEPT = 8
"""This part of the budget large ones leave to small ones, unless a large one is alone."""


class DecodeBudget:
    """Bytes held by decodes, estimated before they begin. For several threads at once."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0
        self.held = 0

    def hold(self, size: int, limit: int) -> Hold:
        """A context that holds `size` bytes, so that no more than `limit` are held together.

        What does not fit waits for others, a bounded time; large ones leave some room to small
        ones, so that these do not wait for them. Entering it raises PayloadTooLarge for
        what fits into no empty budget, Overloaded where others do not end in time.
        """
        return Hold(self, size, limit)

    def take(self, size: int, limit: int) -> None:
        """See `hold`."""
        if size > limit:
            raise PayloadTooLarge(
                f"decoding the image takes {size} bytes of memory; the limit is {limit}",
                hint="Scale the image down before sending.",
            )
        with self._changed:
            if not self._fits(size, limit):
                self._wait(size, limit)
            self.held += size

    def give_back(self, size: int) -> None:
        """See `hold`."""
        with self._changed:
            self.held -= size
            if self._waiting:
                self._changed.notify_all()

    def _fits(self, size: int, limit: int) -> bool:
        kept = limit // _KEPT if self.held and size > limit // _SMALL else 0
        return self.held + size <= limit - kept

    def _wait(self, size: int, limit: int) -> None:
        until = time.monotonic() + self.patience_s
        self._waiting += 1
        try:
            while not self._fits(size, limit):
                left = until - time.monotonic()
                if left <= 0:
                    raise Overloaded(
                        f"images being decoded take {self.held} bytes of memory; "
                        f"{size} more do not fit into {limit}",
                        hint="Retry after the time in Retry-After, or send smaller images.",
                    )
                self._changed.wait(left)
        finally:
            self._waiting -= 1


class Hold:
    """Bytes of a budget while a context lasts."""

    __slots__ = ("_budget", "_limit", "_size")

    def __init__(self, budget: DecodeBudget, size: int, limit: int) -> None:
        self._budget, self._size, self._limit = budget, size, limit

    def __enter__(self) -> None:
        """See `DecodeBudget.hold`."""
        self._budget.take(self._size, self._limit)

    def __exit__(self, *fault: object) -> None:
        """Give them back."""
        self._budget.give_back(self._size)


BUDGET = DecodeBudget()
"""Of this process: memory is the process's, whatever services run in it."""
