"""What a receiver knows of a source's packets (RFC 3550, sections 6.4.1, A.1, A.3 and A.8)."""

from __future__ import annotations

from enum import Enum

from hawkvision.lossy.wire.rtcp import ReportBlock, SenderReport, middle_ntp
from hawkvision.lossy.wire.rtp import CLOCK_HZ, sequence_distance, timestamp_distance

MAX_DROPOUT = 3000
MAX_MISORDER = 100
CLOCK_JUMP_S = 10.0
"""A sender that begins anew chooses its timestamps at random (RFC 3550, section 5.1)."""
_SEQUENCES = 1 << 16
_SLACK = 10 * CLOCK_HZ
_TELLABLE_S = 6 * 3600.0
"""Timestamps wrap after 13 h; what is older than half of that looks new."""
_RUNS = 16


class Arrival(Enum):
    """What a packet is: part of the run, to be held until the next one, or a new run's second."""

    USED = 1
    HELD = 2
    BEGUN_ANEW = 3


class Reception:
    """Counts of one source. Times in seconds on the receiver's monotonic clock.

    A run is what a sender sends from one start to the next. It ends where two packets in sequence
    do not continue it: a jump of MAX_DROPOUT or back by MAX_MISORDER, as RFC 3550 has it, or any
    other jump at which the media clock jumps too, because senders begin at random numbers and a
    small jump would count as thousands lost, or hide real loss.
    """

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.restarts = 0
        self.jitter = 0.0
        self._base: int | None = None
        self._highest = 0
        self._cycles = 0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._sender_ntp = 0
        self._sender_at = 0.0
        self._next: int | None = None
        self._lost_before = 0
        self._begun_s = 0.0
        self._first_timestamp = 0
        self._timestamp = 0
        self._runs: list[tuple[int, int]] = []

    @property
    def expected(self) -> int:
        """Packets of this run that were sent, as far as sequence numbers tell."""
        return 0 if self._base is None else self.highest - self._base + 1

    @property
    def highest(self) -> int:
        """The extended highest sequence number."""
        return self._cycles + self._highest

    @property
    def lost(self) -> int:
        """Packets of this run that did not arrive; negative where copies did."""
        return self.expected - self.received

    @property
    def lost_in_all(self) -> int:
        """Packets of all runs that did not arrive."""
        return self._lost_before + max(0, self.lost)

    def packet(self, sequence: int, timestamp: int, now: float) -> Arrival:
        """Count a packet. One that is held counts when the next one shows that it was right."""
        if self._base is None:
            self._begin(sequence, timestamp, now)
        else:
            step = sequence_distance(sequence, self._highest)
            if (step != 1 or sequence == self._next) and self._breaks(step, timestamp, now):
                if sequence != self._next:
                    self._next = (sequence + 1) & 0xFFFF
                    return Arrival.HELD
                self._restart(sequence, timestamp, now)
                return Arrival.BEGUN_ANEW
            if step > 0:
                if sequence < self._highest:
                    self._cycles += _SEQUENCES
                self._highest = sequence
                self._timestamp = timestamp
        self._next = None
        self.received += 1
        transit = now * CLOCK_HZ - timestamp
        if self._transit is not None:
            moved = abs(transit - self._transit)
            if moved < CLOCK_HZ:
                self.jitter += (moved - self.jitter) / 16
        self._transit = transit
        return Arrival.USED

    def _breaks(self, step: int, timestamp: int, now: float) -> bool:
        """Whether a packet this far from the highest does not continue the run."""
        if not -MAX_MISORDER < step < MAX_DROPOUT:
            return True
        assert self._transit is not None
        due = int(now * CLOCK_HZ - self._transit) & 0xFFFF_FFFF
        return abs(timestamp_distance(timestamp, due)) > CLOCK_JUMP_S * CLOCK_HZ

    def _begin(self, sequence: int, timestamp: int, now: float) -> None:
        self._base = self._highest = sequence
        self._cycles = 0
        self._begun_s = now
        self._first_timestamp = self._timestamp = timestamp

    def _restart(self, sequence: int, timestamp: int, now: float) -> None:
        """A new run, of which the packet before this one was the first."""
        self._lost_before += max(0, self.lost)
        self._runs.append((self._first_timestamp, self._timestamp))
        self.restarts += 1
        self._begin((sequence - 1) & 0xFFFF, timestamp, now)
        self._cycles = 0 if sequence else _SEQUENCES
        self._highest = sequence
        self.received = 2
        self._next = None
        self._expected_before = self._received_before = self._sender_ntp = 0
        self.jitter = 0.0
        self._transit = now * CLOCK_HZ - timestamp

    def foreign(self, timestamp: int, now: float) -> bool:
        """Whether an authentic packet whose number is behind comes from a sender begun anew.

        In one run an older packet never has a newer timestamp, so what is sent again, or late,
        lies within the times of a run; only what surely does not counts.
        """
        if self._base is None or len(self._runs) >= _RUNS or now - self._begun_s > _TELLABLE_S:
            return False
        return not any(
            timestamp_distance(timestamp, first) >= -_SLACK
            and timestamp_distance(timestamp, last) <= slack
            for first, last, slack in (
                (self._first_timestamp, self._timestamp, 0),
                *((first, last, _SLACK) for first, last in self._runs),
            )
        )

    def sender_report(self, report: SenderReport, now: float) -> None:
        """Remember when the sender reported, so that it can measure the round trip."""
        self._sender_ntp, self._sender_at = middle_ntp(report.ntp), now

    def report(self, now: float) -> ReportBlock:
        """The block for the time since the last one."""
        expected = self.expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self.expected, self.received
        fraction = 0 if expected <= 0 or lost <= 0 else min(255, 256 * lost // expected)
        delay = int((now - self._sender_at) * 65_536) if self._sender_ntp else 0
        return ReportBlock(
            self.ssrc,
            fraction,
            self.lost,
            self.highest,
            int(self.jitter),
            self._sender_ntp,
            min(delay, 0xFFFF_FFFF),
        )
