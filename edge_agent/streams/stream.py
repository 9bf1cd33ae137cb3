"""One lossy stream: its packets, its frames in flight, its listeners."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.seldom import Seldom
from edge_agent.streams.frames import FrameClassifier, FrameRequest, Seen, describe
from edge_agent.streams.totals import StreamTotals
from hawkvision.contract.stream import (
    Advice,
    FrameCounts,
    FrameResult,
    PacketCounts,
    StreamEnd,
    StreamEvent,
    StreamStatus,
)
from hawkvision.errors import HawkVisionError, Overloaded
from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.circuit_breaker import Interval, RtpCircuitBreaker
from hawkvision.lossy.offer import StreamOffer, StreamRequest
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.results import REPEATS_S, result_datagram
from hawkvision.lossy.wire.rtcp import Goodbye, ReceiverReport, SourceName
from hawkvision.lossy.wire.rtp import is_rtcp
from hawkvision.lossy.wire.srtp import Outbound

_log = logging.getLogger(__name__)
_SAID = Seldom()
Address = tuple[Any, ...]
REPORT_S = 1.0
_MOST_ANSWERING = 8
_KEPT_EVENTS = 64
_QUEUED_EVENTS = 256

_ADVICE = {
    "no_restart_markers": "The camera sends no restart markers: a lost packet costs the rest of "
    "the image. Encode in slices (one row of MCUs each).",
    "undecodable": "Whole frames do not decode: the camera probably uses Huffman tables of its "
    "own, which RTP/JPEG cannot carry. Turn Huffman optimisation off.",
    "unplaced": "Parts arrived that could not be placed for sure and were left out: use restart "
    "intervals of a whole row of MCUs, or a sender that aligns packets to them.",
    "congestion": "The stream takes far more than its share of a lossy path. Lower the quality or "
    "the frame rate, or it is stopped.",
    "stopped": "The circuit breaker stopped the stream. Open another with less traffic.",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    number: int
    name: str
    data: dict[str, Any]


@dataclass(slots=True)
class StreamCounts:
    """Frames by what became of them."""

    answered: int = 0
    damaged: int = 0
    failed: int = 0
    resend: int = 0
    events_dropped: int = 0


class LossyStream:
    """Runs on the agent's event loop. `send` puts a datagram on the socket."""

    def __init__(
        self,
        offer: StreamOffer,
        owner: str,
        asked: StreamRequest,
        wanted: FrameRequest,
        receiver: StreamReceiver,
        outbound: Outbound | None,
        classifier: FrameClassifier,
        send: Callable[[bytes, Address], None],
        totals: StreamTotals,
    ) -> None:
        self.offer = offer
        self.owner = owner
        self.counts = StreamCounts()
        self.receiver = receiver
        self.address: Address | None = None
        self.advice: dict[str, str] = {}
        self.stopped: str | None = None
        self.heard_s = time.monotonic()
        self._asked = asked
        self._wanted = wanted
        self._outbound = outbound
        self._classifier = classifier
        self._send = send
        self._totals = totals
        self._own_ssrc = offer.ssrc ^ 0x8000_0000
        self._loop = asyncio.get_running_loop()
        self._jobs: set[asyncio.Task[None]] = set()
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._recent: deque[Event] = deque(maxlen=_KEPT_EVENTS)
        self._numbers = itertools.count(1)
        self._previous: npt.NDArray[np.uint8] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._breaker = RtpCircuitBreaker(REPORT_S)
        self._octets = 0
        self._reported = (0, 0)
        self._reporter = self._loop.call_later(REPORT_S, self._report)

    # Datagrams.

    def datagram(self, data: bytes, address: Address) -> None:
        """Take one datagram that carries this stream's SSRC."""
        if self.stopped is not None:
            return
        now = time.monotonic()
        if is_rtcp(data):
            self._control(data, address, now)
            return
        if self._outbound is None and self.address not in (None, address):
            self.receiver.counts.rejected += 1
            return
        frames = self.receiver.rtp(data, now)
        if frames is None:
            return
        self.address = address
        self.heard_s = now
        self._octets += len(data)
        for frame in frames:
            self._begin(frame)
        self._schedule(now)

    def _control(self, data: bytes, address: Address, now: float) -> None:
        if self._outbound is None and self.address and self.address[0] != address[0]:
            self.receiver.counts.rejected += 1
            return
        for report in self.receiver.rtcp(data, now) or ():
            self.heard_s = now
            if isinstance(report, Goodbye) and self.offer.ssrc in report.sources:
                for frame in self.receiver.assembler.flush():
                    self._begin(frame)
                self._publish(StreamEnd("goodbye"))

    def _schedule(self, now: float) -> None:
        due = self.receiver.assembler.next_due_s
        if self._timer is not None and (due is None or due < self._timer_s):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer_s = due
            self._timer = self._loop.call_later(max(0.0, due - now), self._due)

    def _due(self) -> None:
        self._timer = None
        now = time.monotonic()
        for frame in self.receiver.poll(now):
            self._begin(frame)
        self._schedule(now)

    # Frames.

    def _begin(self, frame: Frame) -> None:
        if len(self._jobs) >= _MOST_ANSWERING:
            self._failed(frame, Overloaded("too many frames of this stream are being answered"))
            return
        job = self._loop.create_task(self._answer(frame))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._classifier.answer(frame, self._wanted, self._previous)
        except HawkVisionError as error:
            self._failed(frame, error)
            return
        except Exception as error:
            if _SAID.due("frame", error):
                _log.exception("unexpected error for a frame")
            self._failed(frame, HawkVisionError("internal error", hint="See the agent's log."))
            return
        self._learn(answer.seen, frame)
        damaged = answer.seen.pixels.lost is not None
        self.counts.answered += 1
        self.counts.damaged += damaged
        self.counts.resend += answer.result.resend
        self._totals.frames["answered"] += 1
        self._totals.frames["damaged"] += damaged
        self._totals.frames["resend"] += answer.result.resend
        self._deliver(answer.result)

    def _failed(self, frame: Frame, error: HawkVisionError) -> None:
        self.counts.failed += 1
        self._totals.frames[error.code] += 1
        self._deliver(FrameResult(describe(frame, None), error))

    def _learn(self, seen: Seen, frame: Frame) -> None:
        """Keep what later frames may use, and say what the sender could do better."""
        rebuilt = seen.rebuilt
        assembler = self.receiver.assembler
        if frame.complete and rebuilt.layout.interval != frame.layout.interval:
            assembler.interval_hint = rebuilt.layout.interval
        if rebuilt.mean_bytes is not None:
            assembler.mean_bytes = rebuilt.mean_bytes
        if self._wanted.keep_previous:
            self._previous = seen.pixels.image
        if not rebuilt.layout.interval:
            self._advise("no_restart_markers")
        if seen.pixels.garbled and frame.complete:
            self._advise("undecodable")
        if rebuilt.unplaced:
            self._advise("unplaced")

    def _advise(self, code: str) -> None:
        if code not in self.advice:
            self.advice[code] = _ADVICE[code]
            self._publish(Advice(code, _ADVICE[code]))

    def _deliver(self, result: FrameResult) -> None:
        """To the listeners, and back to the sender, three times."""
        body = self._publish(result)
        if not self._asked.replies or self.address is None:
            return
        data = result_datagram(self._own_ssrc, body, self.offer.mtu - self.offer.tag_bytes - 4)
        for delay in REPEATS_S:
            if delay:
                self._loop.call_later(delay, self._reply, data)
            else:
                self._reply(data)

    def _reply(self, data: bytes) -> None:
        if self.address is not None:
            packet = data if self._outbound is None else self._outbound.rtcp(data)
            self._send(packet, self.address)

    # Listeners.

    def _publish(self, told: StreamEvent) -> dict[str, Any]:
        """To the listeners, now and later; its JSON object."""
        event = Event(next(self._numbers), told.event, told.as_dict())
        self._recent.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
                self.counts.events_dropped += 1
            queue.put_nowait(event)
        return event.data

    def listen(self, after: int | None) -> asyncio.Queue[Event | None]:
        """A queue of events to come, and of recent ones after number `after`."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUED_EVENTS)
        if after is not None:
            for event in self._recent:
                if event.number > after:
                    queue.put_nowait(event)
        self._listeners.add(queue)
        return queue

    def unlisten(self, queue: asyncio.Queue[Event | None]) -> None:
        """Forget a listener."""
        self._listeners.discard(queue)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    # Reports.

    def _report(self) -> None:
        self._reporter = self._loop.call_later(REPORT_S, self._report)
        now = time.monotonic()
        accepted = self.receiver.counts.accepted
        packets, octets = accepted - self._reported[0], self._octets - self._reported[1]
        if not packets or self.address is None or self.stopped is not None:
            return
        self._reported = (accepted, self._octets)
        block = self.receiver.reception.report(now)
        self._reply(
            bytes(ReceiverReport(self._own_ssrc, (block,)))
            + bytes(SourceName(self._own_ssrc, "hawkvision-agent"))
        )
        interval = Interval(
            loss=block.fraction_lost / 256,
            rate=octets / REPORT_S,
            packet_bytes=octets / packets,
            rtt_s=self._asked.rtt_ms / 1e3,
            advanced=True,
        )
        self._breaker.report(interval, now)
        if self._breaker.exceeded(interval):
            self._advise("congestion")
        if self._breaker.reason is not None:
            self.stopped = self._breaker.reason
            self._advise("stopped")
            self._publish(StreamEnd(self.stopped))

    def status(self) -> StreamStatus:
        """What happened so far."""
        counts, receiver = self.counts, self.receiver
        return StreamStatus(
            id=self.offer.id,
            ssrc=self.offer.ssrc,
            bound=self.address is not None,
            stopped=self.stopped,
            advice=tuple(Advice(code, text) for code, text in self.advice.items()),
            frames=FrameCounts(
                answered=counts.answered,
                damaged=counts.damaged,
                failed=counts.failed,
                resend=counts.resend,
                in_flight=receiver.assembler.in_flight + len(self._jobs),
            ),
            packets=self.packets,
            events_dropped=counts.events_dropped,
        )

    @property
    def packets(self) -> PacketCounts:
        """Packets by what became of them."""
        receiver, assembly = self.receiver, self.receiver.assembler.counts
        return PacketCounts(
            accepted=receiver.counts.accepted,
            rejected=receiver.counts.rejected,
            malformed=receiver.counts.malformed,
            lost=max(0, receiver.reception.lost),
            recovered=receiver.parity.recovered,
            late=assembly.late,
            duplicate=assembly.duplicate,
            conflicting=assembly.conflicting,
            over_limit=assembly.over_limit,
        )

    def close(self, reason: str) -> None:
        """End the stream; listeners get the reason and then the end."""
        self.stopped = self.stopped or reason
        self._reporter.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for job in self._jobs:
            job.cancel()
        self._publish(StreamEnd(reason))
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
