"""What a receiver knows of a source's packets (RFC 3550, sections 6.4.1, A.3 and A.8)."""

from __future__ import annotations

from hawkvision.lossy.wire.rtcp import ReportBlock, SenderReport, middle_ntp
from hawkvision.lossy.wire.rtp import CLOCK_HZ, sequence_distance

_FAR = 3000
_SEQUENCES = 1 << 16


class Reception:
    """Counts of one source. Times in seconds on the receiver's monotonic clock."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0
        self._base: int | None = None
        self._highest = 0
        self._cycles = 0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._sender_ntp = 0
        self._sender_at = 0.0

    @property
    def expected(self) -> int:
        """Packets that were sent, as far as sequence numbers tell."""
        return 0 if self._base is None else self.highest - self._base + 1

    @property
    def highest(self) -> int:
        """The extended highest sequence number."""
        return self._cycles + self._highest

    @property
    def lost(self) -> int:
        """Packets that did not arrive; negative where copies did."""
        return self.expected - self.received

    def packet(self, sequence: int, timestamp: int, now: float) -> bool:
        """Count a packet; whether its sequence number is the highest so far."""
        self.received += 1
        if self._base is None:
            self._base = self._highest = sequence
        step = sequence_distance(sequence, self._highest)
        newest = step > 0
        if newest:
            if abs(step) > _FAR:  # the source began anew
                self._base, self._cycles, self.received = sequence, 0, 1
                self._expected_before = self._received_before = 0
            elif sequence < self._highest:
                self._cycles += _SEQUENCES
            self._highest = sequence
        transit = now * CLOCK_HZ - timestamp
        if self._transit is not None:
            moved = abs(transit - self._transit)
            if moved < CLOCK_HZ:
                self.jitter += (moved - self.jitter) / 16
        self._transit = transit
        return newest

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
