"""One stream's sending side: images in, datagrams out. No socket, no clock."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.lossy.jpeg.packetize import carriable, fragments_of, payload_room
from hawkvision.lossy.pacing import parity_packets
from hawkvision.lossy.wire import parity
from hawkvision.lossy.wire.rtcp import Goodbye, ReceiverReport, SenderReport, SourceName, ntp_time
from hawkvision.lossy.wire.rtp import HEADER_BYTES, RtpPacket
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE
from hawkvision.lossy.wire.srtp import Outbound

Image = npt.NDArray[np.uint8]
FIRST_LOSS = 0.02
_PARITY_OVERHEAD = struct.calcsize("!BBHIH") + 2 + 6
"""Of a parity packet's headers (RFC 5109, sections 7.3 and 7.4, with the long mask)."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """`parity` is the number of parity packets in a hundred, or None to follow the measured loss.

    `mtu` bounds a datagram's bytes with its SRTP tag of `tag_bytes`.
    """

    mtu: int = 1200
    tag_bytes: int = 0
    quality: int = 85
    parity: float | None = 0.0


class StreamSender:
    """Packets of one SSRC, always aligned to restart intervals.

    `measured_loss` is the caller's to set; until a report comes, a little loss is assumed.
    """

    def __init__(self, ssrc: int, settings: SenderSettings, crypto: Outbound | None) -> None:
        self.ssrc = ssrc
        self.measured_loss = FIRST_LOSS
        self.packets_sent = 0
        self.octets_sent = 0
        self._settings = settings
        self._crypto = crypto
        self._sequence = secrets.randbits(16)

    def frame(self, image: bytes | Image, timestamp: int) -> list[bytes]:
        """The datagrams of one image: its packets, then their parity.

        An encoded image (bytes) goes as it is where RTP/JPEG can carry it, else it is encoded
        again; an array is uint8 RGB [H,W,3]. Raises UnsupportedImage, CorruptImage.
        """
        share = self._settings.parity
        fragments = fragments_of(
            carriable(image, self._room, quality=self._settings.quality), self._room
        )
        last = len(fragments) - 1
        packets = [
            bytes(self._packet(PAYLOAD_TYPE, index == last, timestamp, bytes(fragment)))
            for index, fragment in enumerate(fragments)
        ]
        count = (
            parity_packets(len(packets), self.measured_loss)
            if share is None
            else int(np.ceil(len(packets) * share / 100))
        )
        packets += [
            bytes(
                self._packet(
                    parity.PAYLOAD_TYPE, False, timestamp, parity.protect(packets, members)
                )
            )
            for members in parity.groups(len(fragments), count)
        ]
        self.packets_sent += len(packets)
        self.octets_sent += sum(len(packet) - HEADER_BYTES for packet in packets)
        protect = self._crypto.rtp if self._crypto else None
        return packets if protect is None else [protect(packet) for packet in packets]

    @property
    def _room(self) -> int:
        """Entropy-coded bytes of a packet, so that its parity fits into a datagram too."""
        room = payload_room(self._settings.mtu, self._settings.tag_bytes)
        return room if self._settings.parity == 0 else room - _PARITY_OVERHEAD

    def encoded(self, image: Image) -> bytes:
        """An array as the JPEG that `frame` sends."""
        return bytes(carriable(image, self._room, quality=self._settings.quality))

    def _packet(self, kind: int, marker: bool, timestamp: int, payload: bytes) -> RtpPacket:
        packet = RtpPacket(kind, marker, self._sequence, timestamp, self.ssrc, payload)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return packet

    def report(self, timestamp: int, unix_s: float, *, goodbye: bool = False) -> bytes:
        """A compound RTCP datagram: sender report, name, and BYE at the end."""
        parts: list[object] = [
            SenderReport(
                self.ssrc,
                ntp_time(unix_s),
                timestamp,
                self.packets_sent & 0xFFFFFFFF,
                self.octets_sent & 0xFFFFFFFF,
            )
            if self.packets_sent
            else ReceiverReport(self.ssrc),
            SourceName(self.ssrc, f"hawkvision-{self.ssrc:08x}"),
        ]
        if goodbye:
            parts.append(Goodbye((self.ssrc,)))
        compound = b"".join(bytes(part) for part in parts)  # type: ignore[call-overload]
        return compound if self._crypto is None else self._crypto.rtcp(compound)
