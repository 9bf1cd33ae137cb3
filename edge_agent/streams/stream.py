"""One lossy stream: its packets, its frames in flight, its listeners."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.streams.events import StreamEvents
from edge_agent.streams.frames import FrameClassifier, FrameRequest, Seen, describe
from edge_agent.streams.totals import StreamTotals
from hawkvision.contract.stream import (
    Advice,
    FrameCounts,
    FrameResult,
    PacketCounts,
    StreamEnd,
    StreamStatus,
)
from hawkvision.errors import HawkVisionError, Overloaded
from hawkvision.lossy.advice import ADVICE, EVERY_S, ONCE
from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.circuit_breaker import Interval, RtpCircuitBreaker
from hawkvision.lossy.offer import StreamOffer, StreamRequest
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.results import REPEATS_S, result_datagram
from hawkvision.lossy.takeover import Takeover
from hawkvision.lossy.wire.rtcp import Goodbye, ReceiverReport, SourceName
from hawkvision.lossy.wire.rtp import is_rtcp
from hawkvision.lossy.wire.srtp import LARGEST_RTCP, Outbound

_log = logging.getLogger(__name__)
Address = tuple[Any, ...]
REPORT_S = 1.0
_MOST_ANSWERING = 8
_LOG_EVERY_S = 60.0
_PACED_S = 1.0
"""How long a camera begun anew may take to catch up."""
_SILENT_S = 0.2
"""Without a packet for so long, refused ones are all there is."""


@dataclass(slots=True)
class StreamCounts:
    """Frames by what became of them."""

    answered: int = 0
    damaged: int = 0
    failed: int = 0
    resend: int = 0


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
        self.advice: dict[str, float] = {}
        self.events = StreamEvents()
        self.stopped: str | None = None
        self.heard_s = time.monotonic()
        self._asked = asked
        self.wanted = wanted
        self._outbound = outbound
        self._classifier = classifier
        self._send = send
        self._totals = totals
        self._own_ssrc = offer.ssrc ^ 0x8000_0000
        self._loop = asyncio.get_running_loop()
        self._jobs: set[asyncio.Task[None]] = set()
        self._previous: npt.NDArray[np.uint8] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._breaker = RtpCircuitBreaker(REPORT_S)
        self._octets = 0
        self._reported = (0, 0)
        self._watched = (0, 0, 0, 0)
        self._refused = False
        self._source = Takeover()
        self._backlog: deque[bytes] = deque()
        self._paced_until_s = 0.0
        self._logged: dict[str, float] = {}
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
        if self._outbound is not None:
            self._take(data, address, now)
        else:
            self._queue(self._source.packet(data, address, now), address, now)
            self._schedule(now)

    def _queue(self, packets: list[bytes], address: Address, now: float) -> None:
        """Take a plain stream's packets; those of a camera begun anew as their frames get answered.

        They come at once, and more frames than may be answered at a time would be refused.
        """
        if len(packets) > 1:
            self._paced_until_s = now + _PACED_S
        self._backlog.extend(packets)
        while self._backlog and (len(self._jobs) < _MOST_ANSWERING or now >= self._paced_until_s):
            self._take(self._backlog.popleft(), address, now)

    def _take(self, data: bytes, address: Address, now: float) -> None:
        frames = self.receiver.rtp(data, now)
        if self.receiver.troubles:
            self._tell_troubles()
        if frames is None:
            self._refused = True
            return
        self._refused = False
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
                self._source.release()
                self.events.publish(StreamEnd("goodbye"))

    def _schedule(self, now: float) -> None:
        dues = (self.receiver.assembler.next_due_s, self._source.next_due_s)
        due = min((one for one in dues if one is not None), default=None)
        if self._timer is not None and (due is None or due < self._timer_s):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer_s = due
            self._timer = self._loop.call_later(max(0.0, due - now), self._due)

    def _due(self) -> None:
        self._timer = None
        now = time.monotonic()
        packets, address = self._source.poll(now)
        if address is not None:
            self._queue(packets, address, now)
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
        job.add_done_callback(self._done)

    def _done(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if self._backlog and self.address is not None and self.stopped is None:
            self._queue([], self.address, time.monotonic())

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._classifier.answer(frame, self.wanted, self._previous)
        except HawkVisionError as error:
            self._failed(frame, error)
            return
        except Exception:
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
        if self.wanted.keep_previous:
            self._previous = seen.pixels.image
        if not rebuilt.layout.interval:
            self.advise("no_restart_markers")
        if seen.pixels.garbled and frame.complete:
            self.advise("undecodable")
        if rebuilt.unplaced:
            self.advise("unplaced")
        if frame.complete and not rebuilt.tables_known:
            self.advise("no_tables")

    def _tell_troubles(self) -> None:
        for code, times in self.receiver.troubles.items():
            self.advise(code, times)
        self.receiver.troubles.clear()

    def advise(self, code: str, times: int = 1) -> None:
        """Tell what is wrong and what to do about it, at most once a second for each code."""
        self._totals.advice[code] += times
        now = time.monotonic()
        told = self.advice.get(code)
        if told is not None and (code in ONCE or now - told < EVERY_S):
            return
        self.advice[code] = now
        self.events.publish(Advice(code, ADVICE[code]))
        if now - self._logged.get(code, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[code] = now
            _log.warning("stream of SSRC %d: %s: %s", self.offer.ssrc, code, ADVICE[code])

    def _deliver(self, result: FrameResult) -> None:
        """To the listeners, and back to the sender, three times."""
        body = self.events.publish(result)
        if not self._asked.replies or self.address is None:
            return
        room = self.offer.mtu - self.offer.tag_bytes - 4
        if self._outbound is not None:
            room = min(room, LARGEST_RTCP)
        data = result_datagram(self._own_ssrc, body, room)
        if len(data) > room:
            return
        for delay in REPEATS_S:
            if delay:
                self._loop.call_later(delay, self._reply, data)
            else:
                self._reply(data)

    def _reply(self, data: bytes) -> None:
        if self.address is not None:
            packet = data if self._outbound is None else self._outbound.rtcp(data)
            self._send(packet, self.address)

    # Reports.

    def _report(self) -> None:
        self._reporter = self._loop.call_later(REPORT_S, self._report)
        now = time.monotonic()
        if self.stopped is None:
            self._watch(now)
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
            self.advise("congestion")
        if self._breaker.reason is not None:
            self.stopped = self._breaker.reason
            self.advise("stopped")
            self.events.publish(StreamEnd(self.stopped))

    def _watch(self, now: float) -> None:
        """Nothing that arrives stays without an answer, or a word on why there is none."""
        receiver, assembly = self.receiver, self.receiver.assembler.counts
        seen = (
            receiver.counts.accepted,
            receiver.assembler.begun,
            assembly.late,
            assembly.over_limit,
        )
        accepted, begun, late, over = (
            new - old for new, old in zip(seen, self._watched, strict=True)
        )
        self._watched = seen
        if self._source.contested_s is not None and now - self._source.contested_s < REPORT_S:
            self.advise("two_senders")
        elif self._refused and self._outbound is not None and now - self.heard_s > _SILENT_S:
            self._refused = False
            if now - self.advice.get("restarted", -REPORT_S) >= REPORT_S:
                self.advise("rejected")
        elif accepted and not begun and over:
            self.advise("over_limit", over)
        elif accepted and not begun and late:
            self.advise("timestamps", late)

    @property
    def hears(self) -> Address | None:
        """Where packets come from: the address, None where none came for a second."""
        return self.address if time.monotonic() - self.heard_s < REPORT_S else None

    def status(self) -> StreamStatus:
        """What happened so far."""
        counts, receiver = self.counts, self.receiver
        return StreamStatus(
            id=self.offer.id,
            ssrc=self.offer.ssrc,
            bound=self.address is not None,
            stopped=self.stopped,
            advice=tuple(Advice(code, ADVICE[code]) for code in self.advice),
            frames=FrameCounts(
                answered=counts.answered,
                damaged=counts.damaged,
                failed=counts.failed,
                resend=counts.resend,
                in_flight=receiver.assembler.in_flight + len(self._jobs),
            ),
            packets=self.packets,
            events_dropped=self.events.dropped,
        )

    @property
    def packets(self) -> PacketCounts:
        """Packets by what became of them."""
        receiver, assembly = self.receiver, self.receiver.assembler.counts
        return PacketCounts(
            accepted=receiver.counts.accepted,
            rejected=receiver.counts.rejected + self._source.refused,
            malformed=receiver.counts.malformed,
            lost=receiver.reception.lost_in_all,
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
        self.events.publish(StreamEnd(reason))
        self.events.end()
