"""One stream's receiving side: datagrams in, frames and reports out. No socket, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.assembler import Assembler, AssemblyLimits, Frame
from hawkvision.lossy.reception import Arrival, Reception
from hawkvision.lossy.wire import parity
from hawkvision.lossy.wire.parity import ParityDecoder
from hawkvision.lossy.wire.rtcp import Report, SenderReport, parse_compound
from hawkvision.lossy.wire.rtp import RtpPacket
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE, JpegFragment, Size
from hawkvision.lossy.wire.srtp import Inbound
from hawkvision.lossy.wire.unreadable import UnreadablePacket, advice_of

_PROBE_S = 0.05
"""A rejected packet is looked at again at most so often."""


@dataclass(slots=True)
class ReceiverCounts:
    """Datagrams by what became of them."""

    accepted: int = 0
    rejected: int = 0
    malformed: int = 0


class StreamReceiver:
    """Packets of one SSRC: payload type 26 is JPEG, 122 parity. `wait_s` as in Assembler.

    Without `crypto` they are plain RTP. `stated` is the size of images that are too large for their
    packets to say. `troubles` counts what went wrong by the code of its
    advice, until the caller clears it.
    """

    def __init__(
        self,
        ssrc: int,
        wait_s: float,
        limits: AssemblyLimits | None = None,
        crypto: Inbound | None = None,
        stated: Size | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.counts = ReceiverCounts()
        self.assembler = Assembler(wait_s, limits)
        self.reception = Reception(ssrc)
        self.parity = ParityDecoder()
        self._crypto = crypto
        self._stated = stated
        self.troubles: Counter[str] = Counter()
        self._uses_parity = False
        self._held: tuple[RtpPacket, bytes] | None = None
        self._probe_s = 0.0

    def rtp(self, datagram: bytes, now: float) -> list[Frame] | None:
        """The frames that this datagram finishes; None for one that changed nothing.

        Nothing changes by a datagram that is not authentic, is a replay, or is not RTP.
        """
        packet = datagram if self._crypto is None else self._crypto.rtp(datagram)
        if packet is None:
            self.counts.rejected += 1
            self._look_again(datagram, now)
            return None
        try:
            parsed = RtpPacket.parse(packet)
            if parsed.ssrc != self.ssrc:
                raise MalformedPacket("another source")
        except MalformedPacket as error:
            self._unreadable(error)
            return None
        self.counts.accepted += 1
        arrival = self.reception.packet(parsed.sequence, parsed.timestamp, now)
        if arrival is Arrival.USED and self._held is None:
            return self._take(parsed, packet, now)
        return self._around_a_restart(arrival, parsed, packet, now)

    def _around_a_restart(
        self, arrival: Arrival, parsed: RtpPacket, packet: bytes, now: float
    ) -> list[Frame]:
        """A source begins anew with two packets in sequence; one alone is a stray."""
        held, self._held = self._held, None
        frames: list[Frame] = []
        if arrival is Arrival.BEGUN_ANEW and held is not None:
            self.troubles["resumed"] += 1
            frames += self.assembler.begin_anew()
            self.parity.forget()
            frames += self._take(*held, now)
        elif held is not None:
            self.assembler.counts.late += 1
        if arrival is Arrival.HELD:
            self._held = (parsed, packet)
            return frames
        return frames + self._take(parsed, packet, now)

    def _look_again(self, datagram: bytes, now: float) -> None:
        """Whether a rejected packet is of this source, begun anew under the same key.

        Its numbers are behind, so that it repeats a keystream (RFC 3711, section 9.1): it stays
        rejected, and is told.
        """
        if self._crypto is None or now < self._probe_s:
            return
        self._probe_s = now + _PROBE_S
        packet = self._crypto.from_the_beginning(datagram)
        if packet is None:
            return
        try:
            timestamp = RtpPacket.parse(packet).timestamp
        except MalformedPacket:
            return
        if self.reception.foreign(timestamp, now):
            self.troubles["restarted"] += 1

    def _unreadable(self, error: MalformedPacket) -> None:
        self.counts.malformed += 1
        self.troubles[advice_of(error)] += 1

    def _take(self, parsed: RtpPacket, packet: bytes, now: float) -> list[Frame]:
        try:
            if parsed.payload_type == PAYLOAD_TYPE:
                fragment = JpegFragment.parse(parsed.payload, self._stated)
                if self._uses_parity:
                    self.parity.remember(parsed.sequence, packet)
                return self.assembler.add(parsed.timestamp, parsed.marker, fragment, now)
            if parsed.payload_type != parity.PAYLOAD_TYPE:
                raise UnreadablePacket("payload_type", f"payload type {parsed.payload_type}")
            self._uses_parity = True
            recovered = self.parity.parity(parsed.payload, self.ssrc)
        except MalformedPacket as error:
            self._unreadable(error)
            return []
        frames: list[Frame] = []
        for one in recovered:
            try:
                again = RtpPacket.parse(one)
                fragment = JpegFragment.parse(again.payload, self._stated)
            except MalformedPacket as error:  # the others may have finished frames
                self._unreadable(error)
                continue
            frames += self.assembler.add(again.timestamp, again.marker, fragment, now)
        self.assembler.parity_seen(parsed.timestamp, now)
        return frames

    def expect_parity(self) -> None:
        """Remember packets from the first one on, as the sender said that it adds parity."""
        self._uses_parity = True

    def rtcp(self, datagram: bytes, now: float) -> list[Report] | None:
        """Reports of the source; None for a datagram that changed nothing."""
        packet = datagram if self._crypto is None else self._crypto.rtcp(datagram)
        if packet is None:
            self.counts.rejected += 1
            return None
        try:
            reports = parse_compound(packet)
        except MalformedPacket:
            self.counts.malformed += 1
            return None
        for report in reports:
            if isinstance(report, SenderReport) and report.ssrc == self.ssrc:
                self.reception.sender_report(report, now)
        return reports

    def poll(self, now: float) -> list[Frame]:
        """The frames whose time is over."""
        return self.assembler.poll(now)
