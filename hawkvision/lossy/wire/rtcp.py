"""RTCP (RFC 3550, section 6): sender and receiver reports, SDES, BYE, and our results as APP."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hawkvision.errors import MalformedPacket

SR, RR, SDES, BYE, APP = 200, 201, 202, 203, 204
RESULT_NAME = b"HVRS"
_BLOCK = struct.Struct("!IB3sIIII")
_NTP_EPOCH_S = 2_208_988_800
_MOST_PACKETS = 16


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """Reception of one source: `fraction_lost` in 1/256, `jitter` in timestamp units."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int = 0
    delay: int = 0

    @classmethod
    def parse(cls, data: bytes, at: int) -> ReportBlock:
        """The 24 bytes at `at`. Raises struct.error where they are cut short."""
        ssrc, fraction, lost, highest, jitter, last, delay = _BLOCK.unpack_from(data, at)
        return cls(
            ssrc, fraction, int.from_bytes(lost, "big", signed=True), highest, jitter, last, delay
        )

    def __bytes__(self) -> bytes:
        lost = max(-0x800000, min(0x7FFFFF, self.lost)).to_bytes(3, "big", signed=True)
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost,
            lost,
            self.highest_sequence & 0xFFFFFFFF,
            self.jitter & 0xFFFFFFFF,
            self.last_report,
            self.delay,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is 32.32 fixed point seconds since 1900."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack(
            "!IQIII", self.ssrc, self.ntp, self.rtp_timestamp, self.packets, self.octets
        )
        return _packet(SR, len(self.blocks), body + b"".join(map(bytes, self.blocks)))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What `ssrc` received."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack("!I", self.ssrc) + b"".join(map(bytes, self.blocks))
        return _packet(RR, len(self.blocks), body)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """These sources send no more."""

    sources: tuple[int, ...]

    def __bytes__(self) -> bytes:
        return _packet(BYE, len(self.sources), struct.pack(f"!{len(self.sources)}I", *self.sources))


@dataclass(frozen=True, slots=True)
class SourceName:
    """SDES with a CNAME, which every compound packet has to carry."""

    ssrc: int
    cname: str

    def __bytes__(self) -> bytes:
        text = self.cname.encode()[:255]
        item = struct.pack("!IBB", self.ssrc, 1, len(text)) + text
        return _packet(SDES, 1, item + b"\0" * (4 - len(item) % 4))


@dataclass(frozen=True, slots=True)
class Application:
    """Application-defined data under a name of four letters; ours is JSON under HVRS."""

    ssrc: int
    name: bytes
    data: bytes

    def __bytes__(self) -> bytes:
        padded = struct.pack("!H", len(self.data)) + self.data
        padded += b"\0" * (-len(padded) % 4)
        return _packet(APP, 0, struct.pack("!I", self.ssrc) + self.name + padded)


Report = SenderReport | ReceiverReport | Goodbye | Application


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def parse_compound(data: bytes) -> list[Report]:
    """The packets of a compound that we use; others are passed over. Raises MalformedPacket."""
    found: list[Report] = []
    at = 0
    for _ in range(_MOST_PACKETS):
        if at + 4 > len(data):
            break
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            raise MalformedPacket("RTCP that is cut short or of another version")
        body = data[at + 4 : end]
        try:
            report = _parse(kind, first & 0x1F, body)
        except struct.error as error:
            raise MalformedPacket("RTCP that is cut short") from error
        if report is not None:
            found.append(report)
        at = end
    return found


def _parse(kind: int, count: int, body: bytes) -> Report | None:
    if kind == SR:
        ssrc, ntp, stamp, packets, octets = struct.unpack_from("!IQIII", body)
        blocks = tuple(ReportBlock.parse(body, 24 + 24 * index) for index in range(count))
        return SenderReport(ssrc, ntp, stamp, packets, octets, blocks)
    if kind == RR:
        blocks = tuple(ReportBlock.parse(body, 4 + 24 * index) for index in range(count))
        return ReceiverReport(struct.unpack_from("!I", body)[0], blocks)
    if kind == BYE:
        return Goodbye(struct.unpack_from(f"!{count}I", body))
    if kind == APP:
        ssrc, name, length = struct.unpack_from("!I4sH", body)
        if 10 + length > len(body):
            raise MalformedPacket("application data that is cut short")
        return Application(ssrc, name, body[10 : 10 + length])
    return None


def ntp_time(unix_s: float) -> int:
    """32.32 fixed point since 1900."""
    return int((unix_s + _NTP_EPOCH_S) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle_ntp(ntp: int) -> int:
    """The middle 32 bits, in 1/65,536 s, as report blocks carry them."""
    return (ntp >> 16) & 0xFFFF_FFFF
