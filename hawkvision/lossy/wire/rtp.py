"""RTP packets (RFC 3550, section 5.1) and arithmetic on their numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hawkvision.errors import MalformedPacket

CLOCK_HZ = 90_000
_HEADER = struct.Struct("!BBHII")
HEADER_BYTES = 12


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """`timestamp` in units of 1/90,000 s, modulo 2^32; `sequence` modulo 2^16."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Raises MalformedPacket. CSRC lists, header extensions and padding are skipped."""
        if len(data) < HEADER_BYTES:
            raise MalformedPacket("an RTP packet has at least 12 bytes")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first == 0x80:
            payload = data[HEADER_BYTES:]
        elif first >> 6 != 2:
            raise MalformedPacket("not RTP version 2")
        else:
            payload = _payload(data, first)
        return cls(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, payload)

    def __bytes__(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


def _payload(data: bytes, first: int) -> bytes:
    start, end = HEADER_BYTES + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if end < start + 4:
            raise MalformedPacket("the header extension is cut short")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:
        end -= data[-1]
        if data[-1] == 0:
            raise MalformedPacket("padding of length 0")
    if start > end:
        raise MalformedPacket("the header is longer than the packet")
    return data[start:end]


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP (RFC 5761, section 4)."""
    return len(data) >= 8 and 192 <= data[1] <= 223


def sequence_distance(new: int, old: int) -> int:
    """`new - old` modulo 2^16, in [-32768, 32767]."""
    return ((new - old + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(new: int, old: int) -> int:
    """`new - old` modulo 2^32, in [-2^31, 2^31 - 1]."""
    return ((new - old + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
