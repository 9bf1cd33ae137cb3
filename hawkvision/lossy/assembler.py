"""Fragments in, frames out: complete, or as far as they have come when their time is over.

A plain state machine: time comes in as `now` (seconds, monotonic), frames go out as return values.
A frame ends when it is complete, a short grace after its last packet, after parity, or after the
first packet of a later frame arrived, and at the latest `wait_s` after its first packet. Nothing
waits for a retransmission.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.tables import quantization_tables
from hawkvision.lossy.wire.rtp import timestamp_distance
from hawkvision.lossy.wire.rtpjpeg import JpegFragment

REORDER_S = 0.003
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """What one stream may hold: frames in flight, and bytes, packets and pixels of each."""

    max_frames: int = 4
    max_bytes: int = 4 * 1024 * 1024
    max_packets: int = 4096
    max_pixels: int = 2040 * 2040


@dataclass(frozen=True, slots=True)
class Frame:
    """What arrived of one image.

    `fragments` (at least one) are sorted by offset and do not overlap; `size` is the scan's
    length in bytes where the last packet arrived. `tables` (128 or 192 bytes) is None where none
    are known. Times in seconds.
    """

    timestamp: int
    layout: Layout
    tables: bytes | None
    fragments: list[JpegFragment]
    size: int | None
    complete: bool
    first_s: float
    last_s: float
    interval_hint: int = 0
    mean_bytes: float | None = None


@dataclass(slots=True)
class _Buffer:
    layout: Layout
    q: int
    first_s: float
    due_s: float
    last_s: float = 0.0
    fragments: dict[int, JpegFragment] = field(default_factory=dict)
    received: int = 0
    size: int | None = None
    tables: bytes = b""


@dataclass(slots=True)
class AssemblyCounts:
    """Why fragments were not used."""

    late: int = 0
    duplicate: int = 0
    conflicting: int = 0
    over_limit: int = 0


class Assembler:
    """One source's frames. `interval_hint` and `mean_bytes` are what earlier frames showed.

    `begun` counts frames of which something was kept.
    """

    def __init__(self, wait_s: float, limits: AssemblyLimits | None = None) -> None:
        self.wait_s = wait_s
        self.counts = AssemblyCounts()
        self.interval_hint = 0
        self.mean_bytes: float | None = None
        self.begun = 0
        self._limits = limits or AssemblyLimits()
        self._buffers: OrderedDict[int, _Buffer] = OrderedDict()
        self._done: OrderedDict[int, None] = OrderedDict()
        self._tables: dict[int, bytes] = {}

    @property
    def in_flight(self) -> int:
        """Frames that have begun and are not finished."""
        return len(self._buffers)

    @property
    def next_due_s(self) -> float | None:
        """When `poll` has something to do."""
        return min((buffer.due_s for buffer in self._buffers.values()), default=None)

    def add(self, timestamp: int, marker: bool, fragment: JpegFragment, now: float) -> list[Frame]:
        """Take a fragment; the frames that are finished by it."""
        buffer = self._buffers.get(timestamp)
        if buffer is None:
            if timestamp in self._done:
                self.counts.late += 1
                return []
            begun = self._begin(timestamp, fragment, now)
            if begun is None:
                return []
            buffer, finished = begun
        else:
            finished = []
        if fragment.layout is not buffer.layout and fragment.layout != buffer.layout:
            self.counts.conflicting += 1
            return finished
        if not self._store(buffer, fragment, marker):
            if not buffer.fragments:
                del self._buffers[timestamp]
            return finished
        buffer.last_s = now
        if buffer.size is not None:
            if buffer.received >= buffer.size:
                finished.append(self._finish(timestamp))
            elif marker:
                buffer.due_s = min(buffer.due_s, now + REORDER_S)
        return finished

    def _begin(
        self, timestamp: int, fragment: JpegFragment, now: float
    ) -> tuple[_Buffer, list[Frame]] | None:
        layout = fragment.layout
        if layout.width * layout.height > self._limits.max_pixels:
            self.counts.over_limit += 1
            return None
        finished = []
        while len(self._buffers) >= self._limits.max_frames:
            finished.append(self._finish(next(iter(self._buffers))))
        for other, earlier in self._buffers.items():
            if timestamp_distance(timestamp, other) > 0:
                earlier.due_s = min(earlier.due_s, now + REORDER_S)
        self.begun += 1
        buffer = _Buffer(layout, fragment.q, now, now + self.wait_s)
        self._buffers[timestamp] = buffer
        return buffer, finished

    def _store(self, buffer: _Buffer, fragment: JpegFragment, marker: bool) -> bool:
        """Keep a fragment unless it is a copy, overlaps another, or goes beyond the limits."""
        limits, counts = self._limits, self.counts
        offset, end = fragment.offset, fragment.offset + len(fragment.data)
        if offset in buffer.fragments:
            counts.duplicate += 1
            return False
        if end > limits.max_bytes or len(buffer.fragments) >= limits.max_packets:
            counts.over_limit += 1
            return False
        if buffer.size is not None and (end > buffer.size or marker):
            counts.conflicting += 1
            return False
        if fragment.tables:
            buffer.tables = fragment.tables
        buffer.fragments[offset] = fragment
        buffer.received += len(fragment.data)
        if marker:
            buffer.size = end
        return True

    def parity_seen(self, timestamp: int, now: float) -> None:
        """Parity comes after all of a frame's packets: what is missing now is lost or reordered."""
        buffer = self._buffers.get(timestamp)
        if buffer is not None:
            buffer.due_s = min(buffer.due_s, now + REORDER_S)

    def poll(self, now: float) -> list[Frame]:
        """The frames whose time is over."""
        due = [stamp for stamp, buffer in self._buffers.items() if buffer.due_s <= now]
        return [self._finish(stamp) for stamp in due]

    def flush(self) -> list[Frame]:
        """All frames in flight, as far as they have come."""
        return [self._finish(stamp) for stamp in list(self._buffers)]

    def begin_anew(self) -> list[Frame]:
        """The source restarted: all frames in flight; nothing is known of those to come."""
        frames = self.flush()
        self._done.clear()
        self._tables.clear()
        self.interval_hint, self.mean_bytes = 0, None
        return frames

    def _finish(self, timestamp: int) -> Frame:
        buffer = self._buffers.pop(timestamp)
        self._done[timestamp] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        fragments, overlapped = _without_overlaps(buffer)
        self.counts.conflicting += overlapped
        have = sum(len(fragment.data) for fragment in fragments)
        complete = buffer.size is not None and have == buffer.size
        return Frame(
            timestamp=timestamp,
            layout=buffer.layout,
            tables=self._tables_for(buffer),
            fragments=fragments,
            size=buffer.size,
            complete=complete,
            first_s=buffer.first_s,
            last_s=buffer.last_s,
            interval_hint=self.interval_hint,
            mean_bytes=self.mean_bytes,
        )

    def _tables_for(self, buffer: _Buffer) -> bytes | None:
        """Computed, in band, or the last ones seen under this Q.

        RFC 2435 lets receivers keep tables for Q of 128 to 254. Keeping them for Q 255 where
        the first packet is lost goes beyond it, and is right while the quality is constant.
        """
        if buffer.q < 100:
            return quantization_tables(buffer.q)
        if buffer.tables:
            self._tables[buffer.q] = buffer.tables
        return self._tables.get(buffer.q)


def _without_overlaps(buffer: _Buffer) -> tuple[list[JpegFragment], int]:
    """Fragments by offset; of two that overlap, the later is left out."""
    kept: list[JpegFragment] = []
    end = dropped = 0
    for offset in sorted(buffer.fragments):
        fragment = buffer.fragments[offset]
        if offset < end or (buffer.size is not None and offset + len(fragment.data) > buffer.size):
            dropped += 1
            continue
        kept.append(fragment)
        end = offset + len(fragment.data)
    return kept, dropped
