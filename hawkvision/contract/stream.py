"""What a lossy stream says: results by frame, advice to the sender, its end, its counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from hawkvision.contract.answer import Answer
from hawkvision.contract.errors import error_body, parse_error
from hawkvision.contract.fields import Fields, unexpected
from hawkvision.errors import HawkVisionError
from hawkvision.lossy.offer import StreamOffer


def parse_offer(body: object) -> StreamOffer:
    """A stream's address and key, the reply of `POST /v1/streams`. Raises UnexpectedReply."""
    found = Fields.of(body, "an offer of a stream")
    try:
        return StreamOffer.parse(found.body)
    except (KeyError, TypeError, ValueError) as error:
        raise found.failure(f"a stream without {error}") from error


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """One frame as it arrived.

    `timestamp` is RTP's, 90 kHz; `lost_fraction` the share of the image that is missing;
    `assembly_ms` the time from the first packet to the last.
    """

    timestamp: int
    complete: bool
    lost_fraction: float
    packets: int
    assembly_ms: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "timestamp": self.timestamp,
            "complete": self.complete,
            "lost_fraction": self.lost_fraction,
            "packets": self.packets,
            "assembly_ms": self.assembly_ms,
        }

    @classmethod
    def parse(cls, found: Fields) -> FrameInfo:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(
            timestamp=found.whole("timestamp"),
            complete=found.flag("complete"),
            lost_fraction=found.number("lost_fraction"),
            packets=found.whole("packets", 0),
            assembly_ms=found.number("assembly_ms", 0.0),
        )


@dataclass(frozen=True, slots=True)
class FrameResult:
    """A frame's answer, or the error in its place.

    With `resend` the answer is the best that the damaged image gives, and the intact image is
    asked for over HTTP.
    """

    event: ClassVar[str] = "result"

    frame: FrameInfo
    answer: Answer | HawkVisionError
    resend: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON object: an answer's keys, `frame` and `resend`; or `frame` and `error`."""
        if isinstance(self.answer, HawkVisionError):
            return {"frame": self.frame.as_dict(), **error_body(self.answer)}
        return {
            **self.answer.as_dict(),
            "frame": self.frame.as_dict(),
            "resend": self.resend,
        }

    @classmethod
    def parse(cls, body: object) -> FrameResult:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "a result")
        frame = FrameInfo.parse(found.child("frame"))
        if found.has("error"):
            return cls(frame, parse_error(found.body["error"]))
        answer = {key: found.body[key] for key in found.body if key not in ("frame", "resend")}
        return cls(frame, Answer.parse(answer), found.flag("resend", False))


@dataclass(frozen=True, slots=True)
class Advice:
    """What the sender could do better: a machine's `code`, a `message` for people."""

    event: ClassVar[str] = "advice"

    code: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"code": self.code, "message": self.message}

    @classmethod
    def parse(cls, body: object) -> Advice:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "advice")
        return cls(found.text("code"), found.text("message"))


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream ended: `goodbye`, `deleted`, `expired`, `gave_way` (to another one, where all
    were taken), `agent_stops`, `unloaded` (the task), `target_unreachable` (by the task's new
    version), or the breaker's word."""

    event: ClassVar[str] = "end"

    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"reason": self.reason}

    @classmethod
    def parse(cls, body: object) -> StreamEnd:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(Fields.of(body, "the end of a stream").text("reason"))


StreamEvent = FrameResult | Advice | StreamEnd
_EVENTS: Mapping[str, type[FrameResult] | type[Advice] | type[StreamEnd]] = {
    kind.event: kind for kind in (FrameResult, Advice, StreamEnd)
}


def parse_event(name: str, body: object) -> StreamEvent:
    """A server-sent event from its name and its data. Raises UnexpectedReply."""
    kind = _EVENTS.get(name)
    if kind is None:
        raise unexpected(f"an event {name[:40]!r}")
    return kind.parse(body)


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Frames by what became of them; `damaged` and `resend` are among the `answered`."""

    answered: int = 0
    damaged: int = 0
    failed: int = 0
    resend: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """Packets by what became of them; `recovered` ones came back by parity."""

    accepted: int = 0
    rejected: int = 0
    malformed: int = 0
    lost: int = 0
    recovered: int = 0
    late: int = 0
    duplicate: int = 0
    conflicting: int = 0
    over_limit: int = 0


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What happened so far. `bound`: a sender's address is known; `stopped` says why, if it is."""

    id: str
    ssrc: int
    bound: bool
    stopped: str | None
    advice: tuple[Advice, ...]
    frames: FrameCounts
    packets: PacketCounts
    events_dropped: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "id": self.id,
            "ssrc": self.ssrc,
            "bound": self.bound,
            "stopped": self.stopped,
            "advice": [one.as_dict() for one in self.advice],
            "frames": _counts(self.frames),
            "packets": _counts(self.packets),
            "events_dropped": self.events_dropped,
        }

    @classmethod
    def parse(cls, body: object) -> StreamStatus:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "the status of a stream")
        frames, packets = found.child("frames"), found.child("packets")
        return cls(
            id=found.text("id"),
            ssrc=found.whole("ssrc"),
            bound=found.flag("bound"),
            stopped=found.text_or_none("stopped"),
            advice=tuple(Advice.parse(one.body) for one in found.children("advice", ())),
            frames=FrameCounts(*(frames.whole(one.name, 0) for one in fields(FrameCounts))),
            packets=PacketCounts(*(packets.whole(one.name, 0) for one in fields(PacketCounts))),
            events_dropped=found.whole("events_dropped", 0),
        )


def _counts(counts: FrameCounts | PacketCounts) -> dict[str, int]:
    return {one.name: getattr(counts, one.name) for one in fields(counts)}
