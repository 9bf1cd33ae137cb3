"""What requests count, until it is taken as a batch. `add` is the only part on a request's way."""

from __future__ import annotations

import secrets

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.bound import (
    MOST_KEYS,
    Room,
    bounded,
    fold,
    other_of,
    room_of,
)


class Counters:
    """What was counted since the last `take`, in each room (see `bound`) under `most_keys` keys."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self._most_keys = most_keys
        self._counts: dict[CountKey, dict[str, float]] = {}
        self._own: dict[Room, int] = {}

    def add(self, key: CountKey, name: str, amount: float = 1.0) -> None:
        """Add to one measure."""
        measures = self._counts.get(key)
        if measures is None:
            measures = self._begin(key)
        measures[name] = measures.get(name, 0.0) + amount

    def _begin(self, key: CountKey) -> dict[str, float]:
        """The measures of a key that has none; those of all others, where there is no room."""
        if bounded(key):
            room = room_of(key)
            own = self._own.get(room, 0)
            if own >= self._most_keys:
                key = other_of(key)
            else:
                self._own[room] = own + 1
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = self._measures(key)
        return found

    def _measures(self, key: CountKey) -> dict[str, float]:
        """What the measures of a key are kept in."""
        return {}

    @property
    def left(self) -> list[Batch]:
        """Batches that were taken before this start, and may not be in the journal."""
        return []

    def kept(self, batch: Batch) -> None:
        """A batch that was taken is in the journal, and need not be remembered here."""

    def put_back(self, batch: Batch) -> None:
        """Count a batch again that could not be kept."""
        fold(self._counts, batch.counts, self._most_keys)
        self._count_keys()

    def _count_keys(self) -> None:
        self._own = {}
        for key in self._counts:
            self._own[room_of(key)] = self._own.get(room_of(key), 0) + bounded(key)

    def take(self, now: float) -> Batch | None:
        """Everything counted so far as a batch, or None; counting starts again."""
        if not self._counts:
            return None
        counts, self._counts, self._own = self._counts, {}, {}
        return Batch(secrets.token_hex(12), now, counts)
