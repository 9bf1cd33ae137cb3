"""One budget of bytes over all decodes that this process has under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hawkvision.errors import Overloaded, PayloadTooLarge

PATIENCE_S = 1.0
"""So long a decode waits for others to end, seconds. It holds a worker meanwhile."""


class DecodeBudget:
    """Bytes held by decodes, estimated before they begin. For several threads at once."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self._changed = threading.Condition()
        self.held = 0

    @contextmanager
    def hold(self, size: int, limit: int) -> Iterator[None]:
        """Hold `size` bytes while decoding, so that no more than `limit` are held together.

        What does not fit waits for others, a bounded time. Raises PayloadTooLarge for what fits
        into no empty budget, Overloaded where others do not end in time.
        """
        if size > limit:
            raise PayloadTooLarge(
                f"decoding the image takes {size} bytes of memory; the limit is {limit}",
                hint="Scale the image down before sending.",
            )
        with self._changed:
            if self.held + size > limit:
                self._wait(size, limit)
            self.held += size
        try:
            yield
        finally:
            with self._changed:
                self.held -= size
                self._changed.notify_all()

    def _wait(self, size: int, limit: int) -> None:
        until = time.monotonic() + self.patience_s
        while self.held + size > limit:
            left = until - time.monotonic()
            if left <= 0:
                raise Overloaded(
                    f"images being decoded take {self.held} bytes of memory; "
                    f"{size} more do not fit into {limit}",
                    hint="Retry after the time in Retry-After, or send smaller images.",
                )
            self._changed.wait(left)


BUDGET = DecodeBudget()
"""Of this process: memory is the process's, whatever services run in it."""
