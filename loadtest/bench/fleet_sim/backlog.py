"""What an agent keeps while the store is away: the journal's rules, without a database for each."""

from __future__ import annotations

from collections import deque

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.bound import fold

MOST_BYTES = 64 * 1024 * 1024


class Backlog:
    """Batches, oldest first, in at most `max_bytes`; see `tracking.store.batches.Batches`.

    Beyond that those which were never sent are merged under the newest's id, then the oldest go.
    """

    def __init__(self, max_bytes: int = MOST_BYTES) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._sent = 0
        self._bytes = 0
        self.dropped: list[Batch] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, batch: Batch) -> None:
        """Keep one more."""
        size = len(batch.encode())
        self._waiting.append((batch, size))
        self._bytes += size
        if self._bytes > self._max_bytes:
            self._shrink()

    def oldest(self) -> Batch | None:
        """The oldest one, which counts as sent from now on."""
        if not self._waiting:
            return None
        self._sent = max(self._sent, 1)
        return self._waiting[0][0]

    def all(self) -> list[Batch]:
        """Everything that waits."""
        return [batch for batch, _ in self._waiting]

    def remove(self) -> None:
        """The oldest is done with."""
        _, size = self._waiting.popleft()
        self._bytes -= size
        self._sent = max(0, self._sent - 1)

    def _shrink(self) -> None:
        sent = [self._waiting.popleft() for _ in range(self._sent)]
        unsent = [batch for batch, _ in self._waiting]
        if len(unsent) > 1:
            total: dict[CountKey, dict[str, float]] = {}
            for batch in unsent:
                fold(total, batch.counts)
            merged = Batch(unsent[-1].batch_id, unsent[-1].time_s, total)
            self._waiting = deque([(merged, len(merged.encode()))])
        self._waiting.extendleft(reversed(sent))
        self._bytes = sum(size for _, size in self._waiting)
        while self._bytes > self._max_bytes and self._waiting:
            self.dropped.append(self._waiting[0][0])
            self.remove()
