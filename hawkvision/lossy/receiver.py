"""One stream's receiving side: datagrams in, frames and reports out. No socket, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.assembler import Assembler, AssemblyLimits, Frame
from hawkvision.lossy.reception import Reception
from hawkvision.lossy.wire import parity
from hawkvision.lossy.wire.parity import ParityDecoder
from hawkvision.lossy.wire.rtcp import Report, SenderReport, parse_compound
from hawkvision.lossy.wire.rtp import RtpPacket
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE, JpegFragment
from hawkvision.lossy.wire.srtp import Inbound


@dataclass(slots=True)
class ReceiverCounts:
    """Datagrams by what became of them."""

    accepted: int = 0
    rejected: int = 0
    malformed: int = 0


class StreamReceiver:
    """Packets of one SSRC: payload type 26 is JPEG, 122 parity. `wait_s` as in Assembler.

    Without `crypto` they are plain RTP.
    """

    def __init__(
        self,
        ssrc: int,
        wait_s: float,
        limits: AssemblyLimits | None = None,
        crypto: Inbound | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.counts = ReceiverCounts()
        self.assembler = Assembler(wait_s, limits)
        self.reception = Reception(ssrc)
        self.parity = ParityDecoder()
        self._crypto = crypto
        self._uses_parity = False

    def rtp(self, datagram: bytes, now: float) -> list[Frame] | None:
        """The frames that this datagram finishes; None for one that changed nothing.

        Nothing changes by a datagram that is not authentic, is a replay, or is not RTP.
        """
        packet = datagram if self._crypto is None else self._crypto.rtp(datagram)
        if packet is None:
            self.counts.rejected += 1
            return None
        try:
            parsed = RtpPacket.parse(packet)
            if parsed.ssrc != self.ssrc:
                raise MalformedPacket("another source")
        except MalformedPacket:
            self.counts.malformed += 1
            return None
        self.counts.accepted += 1
        self.reception.packet(parsed.sequence, parsed.timestamp, now)
        try:
            return self._take(parsed, packet, now)
        except MalformedPacket:
            self.counts.malformed += 1
            return []

    def _take(self, parsed: RtpPacket, packet: bytes, now: float) -> list[Frame]:
        if parsed.payload_type == PAYLOAD_TYPE:
            fragment = JpegFragment.parse(parsed.payload)
            if self._uses_parity:
                self.parity.remember(parsed.sequence, packet)
            return self.assembler.add(parsed.timestamp, parsed.marker, fragment, now)
        if parsed.payload_type != parity.PAYLOAD_TYPE:
            raise MalformedPacket(f"payload type {parsed.payload_type}")
        frames: list[Frame] = []
        self._uses_parity = True
        for recovered in self.parity.parity(parsed.payload, self.ssrc):
            try:
                again = RtpPacket.parse(recovered)
                fragment = JpegFragment.parse(again.payload)
            except MalformedPacket:  # the others may have finished frames
                self.counts.malformed += 1
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
