"""XOR parity over RTP packets: generic forward error correction (ULPFEC, RFC 5109), one level.

Parity packets share SSRC and sequence numbers with the media, as GStreamer's `rtpulpfecenc` sends
them. Groups are interleaved, so that a burst hits many groups once.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from hawkvision.errors import MalformedPacket
from hawkvision.lossy.wire.rtp import HEADER_BYTES

PAYLOAD_TYPE = 122
LONGEST_SPAN = 48
_FEC_HEADER = struct.Struct("!BBHIH")
_HISTORY = 512
_PENDING = 32


def _protected(packet: bytes, length: int) -> int:
    """The bit string of a packet (RFC 5109, section 8.1): header fields, length, then payload."""
    body = packet[HEADER_BYTES:]
    head = packet[:2] + packet[4:8] + len(body).to_bytes(2, "big")
    return int.from_bytes(head + body.ljust(length, b"\0"), "big")


def groups(count: int, parities: int) -> list[list[int]]:
    """Which packets each parity protects: interleaved within spans of 48, spread evenly."""
    if parities <= 0 or count <= 0:
        return []
    spans = max(1, -(-count // LONGEST_SPAN))
    size = -(-count // spans)
    out: list[list[int]] = []
    for span in range(spans):
        members = list(range(span * size, min(count, (span + 1) * size)))
        share = max(1, parities // spans + (span < parities % spans))
        share = min(share, len(members))
        out += [members[first::share] for first in range(share)]
    return out


def protect(packets: Sequence[bytes], members: Sequence[int]) -> bytes:
    """The payload of a parity packet for some of `packets` (RTP, in sequence, within 48)."""
    chosen = [packets[index] for index in members]
    length = max(len(packet) for packet in chosen) - HEADER_BYTES
    bits = 0
    for packet in chosen:
        bits ^= _protected(packet, length)
    raw = bits.to_bytes(8 + length, "big")
    base = int.from_bytes(chosen[0][2:4], "big")
    span = members[-1] - members[0]
    width = 16 if span < 16 else LONGEST_SPAN
    if span >= LONGEST_SPAN:
        raise ValueError(f"a parity covers {LONGEST_SPAN} packets, not {span + 1}")
    mask = sum(1 << (width - 1 - (index - members[0])) for index in members)
    flags = raw[0] & 0x3F | (0x40 if width > 16 else 0)
    return (
        _FEC_HEADER.pack(flags, raw[1], base, *struct.unpack("!IH", raw[2:8]))
        + struct.pack("!H", length)
        + mask.to_bytes(width // 8, "big")
        + raw[8:]
    )


@dataclass(frozen=True, slots=True)
class Parity:
    """A parity packet: the sequence numbers it covers, and their XOR."""

    covered: tuple[int, ...]
    length: int
    head: bytes
    body: bytes

    @classmethod
    def parse(cls, payload: bytes) -> Parity:
        """Raises MalformedPacket."""
        if len(payload) < 14:
            raise MalformedPacket("the parity header is cut short")
        flags, marker, base, stamp, length = _FEC_HEADER.unpack_from(payload)
        width = LONGEST_SPAN if flags & 0x40 else 16
        at = 12 + width // 8
        protected = int.from_bytes(payload[10:12], "big")
        mask = int.from_bytes(payload[12:at], "big")
        if flags & 0x80 or not mask or len(payload) < at + protected:
            raise MalformedPacket("a parity packet that protects nothing, or is cut short")
        covered = tuple(
            (base + index) & 0xFFFF for index in range(width) if mask >> (width - 1 - index) & 1
        )
        head = struct.pack("!BBIH", flags & 0x3F, marker, stamp, length)
        return cls(covered, protected, head, payload[at : at + protected])

    def recover(self, others: Sequence[bytes], sequence: int, ssrc: int) -> bytes | None:
        """The one packet that is missing, given all others that are covered; None if it is odd."""
        bits = int.from_bytes(self.head + self.body, "big")
        for packet in others:
            if len(packet) - HEADER_BYTES > self.length:
                return None
            bits ^= _protected(packet, self.length)
        raw = bits.to_bytes(8 + self.length, "big")
        length = int.from_bytes(raw[6:8], "big")
        if length > self.length:
            return None
        first = 0x80 | raw[0] & 0x3F
        return (
            struct.pack("!BBH", first, raw[1], sequence)
            + raw[2:6]
            + struct.pack("!I", ssrc)
            + raw[8 : 8 + length]
        )


class ParityDecoder:
    """Remembers packets and recovers what parity allows. Bounded in packets."""

    def __init__(self) -> None:
        self.recovered = 0
        self._packets: OrderedDict[int, bytes] = OrderedDict()
        self._pending: OrderedDict[tuple[int, ...], Parity] = OrderedDict()

    def remember(self, sequence: int, packet: bytes) -> None:
        """Keep a media packet."""
        self._packets[sequence] = packet
        if len(self._packets) > _HISTORY:
            self._packets.popitem(last=False)

    def forget(self) -> None:
        """The source began anew: what came before has nothing to do with what comes."""
        self._packets.clear()
        self._pending.clear()

    def parity(self, payload: bytes, ssrc: int) -> list[bytes]:
        """Take a parity packet; the packets that can be recovered now. Raises MalformedPacket."""
        parity = Parity.parse(payload)
        self._pending[parity.covered] = parity
        if len(self._pending) > _PENDING:
            self._pending.popitem(last=False)
        found: list[bytes] = []
        progress = True
        while progress:
            progress = False
            for covered, waiting in list(self._pending.items()):
                missing = [number for number in covered if number not in self._packets]
                if len(missing) > 1:
                    continue
                del self._pending[covered]
                if missing and (packet := self._solve(waiting, missing[0], ssrc)) is not None:
                    found.append(packet)
                    progress = True
        return found

    def _solve(self, parity: Parity, missing: int, ssrc: int) -> bytes | None:
        others = [self._packets[number] for number in parity.covered if number != missing]
        packet = parity.recover(others, missing, ssrc)
        if packet is not None:
            self.remember(missing, packet)
            self.recovered += 1
        return packet
