"""Counters in memory that a parent process shares with its worker, so that a worker which is
killed loses no count: the next one goes on with them.

The memory is cut into segments. One is open: each measure has a slot of eight bytes there, written
as it is counted, and a line in the segment's directory that says whose it is. A segment whose
counts were taken as a batch keeps them, under the batch's id, until that is in the journal.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping

import orjson

from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.bound import MOST_KEYS
from hawkvision.tracking.store.counters import Counters

_SEGMENTS = 4
_SLOTS = 1 << 16
_DIRECTORY = 1 << 22
_HEADER = struct.Struct("<QQd24sQ")
_HEADER_BYTES = 64
_SEGMENT_BYTES = _HEADER_BYTES + 8 * _SLOTS + _DIRECTORY
_FREE, _OPEN, _TAKEN = range(3)


def shared_memory() -> mmap.mmap:
    """For the counters of one worker; made before the fork. Only what is used takes memory."""
    return mmap.mmap(-1, _SEGMENTS * _SEGMENT_BYTES)


class _Segment:
    """One of them. The header is written last, and in it the state: what they speak of is there."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        start = number * _SEGMENT_BYTES
        self._memory = memoryview(memory)[start : start + _SEGMENT_BYTES]
        self.amounts = self._memory[_HEADER_BYTES : _HEADER_BYTES + 8 * _SLOTS].cast("d")
        self._lines = self._memory[_HEADER_BYTES + 8 * _SLOTS :]
        header = _HEADER.unpack_from(self._memory)
        self._slots: int = header[0]
        self._written: int = header[1]
        self.time_s: float = header[2]
        self.state: int = header[4]
        self.batch_id: str = header[3].decode("ascii", "replace")

    def _note(self, state: int, batch_id: str = "", time_s: float = 0.0) -> None:
        self.state, self.batch_id, self.time_s = state, batch_id, time_s
        _HEADER.pack_into(
            self._memory, 0, self._slots, self._written, time_s, batch_id.encode("ascii"), state
        )

    def open(self) -> None:
        """Empty, and the one that is counted in."""
        self._slots = self._written = 0
        self._note(_OPEN)

    def take(self, batch: Batch) -> None:
        """It stays as it is, under the id of a batch."""
        self._note(_TAKEN, batch.batch_id, batch.time_s)

    def free(self) -> None:
        """Its counts are elsewhere."""
        self._note(_FREE)

    def slot(self, key: CountKey, name: str) -> int | None:
        """A new slot; None where there is no room."""
        line = orjson.dumps([key.task, key.app, key.target, name]) + b"\n"
        end = self._written + len(line)
        if self._slots >= _SLOTS or end > _DIRECTORY:
            return None
        self._lines[self._written : end] = line
        self.amounts[self._slots] = 0.0
        self._slots, self._written = self._slots + 1, end
        self._note(_OPEN)
        return self._slots - 1

    def counts(self) -> dict[CountKey, dict[str, tuple[int, float]]]:
        """Slot and amount of every measure."""
        found: dict[CountKey, dict[str, tuple[int, float]]] = {}
        lines = bytes(self._lines[: self._written]).split(b"\n")[:-1]
        for slot, line in enumerate(lines[: self._slots]):
            task, app, target, name = orjson.loads(line)
            measures = found.setdefault(CountKey(task, app, target), {})
            measures[name] = (slot, self.amounts[slot])
        return found


class _Measures(dict[str, float]):
    """The measures of one key; what is set is written to the segment too, if there is room."""

    def __init__(self, key: CountKey, segment: _Segment) -> None:
        super().__init__()
        self._key = key
        self._segment = segment
        self._slots: dict[str, int | None] = {}

    def resume(self, measures: Mapping[str, tuple[int, float]]) -> None:
        for name, (slot, amount) in measures.items():
            self._slots[name] = slot
            super().__setitem__(name, amount)

    def __setitem__(self, name: str, amount: float) -> None:
        super().__setitem__(name, amount)
        if name not in self._slots:
            self._slots[name] = self._segment.slot(self._key, name)
        slot = self._slots[name]
        if slot is not None:
            self._segment.amounts[slot] = amount


class KeptCounters(Counters):
    """As Counters, in memory of `shared_memory`: goes on with what is there.

    `left` are batches that were taken and may not be in the journal: it gets them first, and
    `kept` is called for each.
    """

    def __init__(self, memory: mmap.mmap, most_keys: int = MOST_KEYS) -> None:
        super().__init__(most_keys)
        self._segments = [_Segment(memory, number) for number in range(_SEGMENTS)]
        opened = [one for one in self._segments if one.state == _OPEN]
        self._open = opened[0] if opened else self._segments[0]
        if opened:
            for key, measures in self._open.counts().items():
                into = _Measures(key, self._open)
                into.resume(measures)
                self._counts[key] = into
            self._count_keys()
        else:
            self._open = next(one for one in self._segments if one.state == _FREE)
            self._open.open()

    @property
    def left(self) -> list[Batch]:
        """Batches that were taken and are not known to be in the journal, oldest first."""
        taken = [one for one in self._segments if one.state == _TAKEN]
        return [
            Batch(
                one.batch_id,
                one.time_s,
                {
                    key: {name: amount for name, (_, amount) in measures.items()}
                    for key, measures in one.counts().items()
                },
            )
            for one in sorted(taken, key=lambda one: one.time_s)
        ]

    def _measures(self, key: CountKey) -> dict[str, float]:
        return _Measures(key, self._open)

    def take(self, now: float) -> Batch | None:
        """As `Counters.take`; None too where the journal has not had the ones before."""
        free = next((one for one in self._segments if one.state == _FREE), None)
        if free is None:
            return None
        batch = super().take(now)
        if batch is not None:
            self._open.take(batch)
            free.open()
            self._open = free
        return batch

    def kept(self, batch: Batch) -> None:
        """See `Counters.kept`."""
        for one in self._segments:
            if one.state == _TAKEN and one.batch_id == batch.batch_id:
                one.free()

    def put_back(self, batch: Batch) -> None:
        """See `Counters.put_back`."""
        super().put_back(batch)
        for key, measures in list(self._counts.items()):
            if not isinstance(measures, _Measures):
                into = self._counts[key] = self._measures(key)
                for name, amount in measures.items():
                    into[name] = amount
        self.kept(batch)
