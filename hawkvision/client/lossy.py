"""Images over a lossy stream, on asyncio: each is answered by its deadline, or known to be lost.

async with LossyStream.open("http://agent:8080", accuracy=0.9) as stream:
    answer = await stream.classify(jpeg)
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.contract.answer import Answer
from hawkvision.contract.stream import FrameResult, StreamStatus
from hawkvision.errors import DeadlineExceeded, HawkVisionError, MalformedPacket
from hawkvision.lossy.circuit_breaker import Interval, RtpCircuitBreaker
from hawkvision.lossy.offer import StreamOffer, StreamRequest, request_body
from hawkvision.lossy.pacing import TokenBucket
from hawkvision.lossy.results import results_in
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.rtcp import (
    ReceiverReport,
    ReportBlock,
    middle_ntp,
    ntp_time,
    parse_compound,
)
from hawkvision.lossy.wire.rtp import CLOCK_HZ
from hawkvision.lossy.wire.srtp import LARGEST_RTP, Inbound, Outbound

Image = npt.NDArray[np.uint8]
_REPORT_S = 1.0
_SEND_BUFFER = 1024 * 1024
_LEAST_SLEEP_S = 0.001
_SMOOTHING = 0.3


@dataclass(frozen=True, slots=True)
class Sending:
    """How a stream is sent.

    `rate_bps` paces packets, bits per second. `parity` is in packets for a hundred, None to follow
    the measured loss. `patience_ms` is the time for the way to the agent and back, which its
    deadline does not cover.
    """

    rate_bps: float = 20e6
    parity: float | None = None
    quality: int = 85
    patience_ms: float = 200.0


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """An answer and the frame that it is about. `resent`: it was sent again, over HTTP."""

    answer: Answer
    timestamp: int
    lost_fraction: float
    complete: bool
    resent: bool


class LossyStream(asyncio.DatagramProtocol):
    """One open stream; `open` makes it. Raises HawkVisionError."""

    def __init__(
        self, client: AsyncClient, offer: StreamOffer, asked: StreamRequest, sending: Sending
    ) -> None:
        self.offer = offer
        self.breaker = RtpCircuitBreaker(_REPORT_S)
        self.rtt_s: float | None = None
        self._client = client
        self._asked = asked
        self._sending = sending
        suite = offer.crypto
        mtu = min(offer.mtu, LARGEST_RTP + offer.tag_bytes) if suite else offer.mtu
        self._sender = StreamSender(
            offer.ssrc,
            SenderSettings(mtu, offer.tag_bytes, sending.quality, sending.parity),
            Outbound(suite, offer.key, offer.ssrc) if suite else None,
        )
        self._inbound = (
            Inbound(suite, offer.key, offer.ssrc ^ 0x8000_0000) if suite is not None else None
        )
        self._bucket = TokenBucket(sending.rate_bps)
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._begun = time.monotonic()
        self._offset = secrets.randbits(32)
        self._last_timestamp = -1
        self._turn = asyncio.Lock()
        self._transport: asyncio.DatagramTransport | None = None
        self._reporter: asyncio.Task[None] | None = None
        self._block: ReportBlock | None = None
        self._sent = (0, 0)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str = DEFAULT_URL,
        *,
        sending: Sending | None = None,
        through: tuple[str, int] | None = None,
        ca: str | Path | None = None,
        key: str | None = None,
        **asked: Any,
    ) -> AsyncIterator[LossyStream]:
        """Ask the agent at `url` for a stream; `asked` are the fields of StreamRequest.

        Datagrams go to the address that the agent offers, or to `through`, which forwards them.
        `ca` is the authority that signed for the agent, `key` is shown where it asks for keys.
        """
        sending = sending or Sending()
        if "accuracy" in asked and asked["accuracy"] is not None:
            asked["accuracy"] = str(asked["accuracy"])
        asked.setdefault("parity", sending.parity != 0)
        request = StreamRequest(**asked)
        async with AsyncClient(url, ca=ca, key=key) as client:
            offer = await client.open_stream(request_body(request))
            stream = cls(client, offer, request, sending)
            try:
                await stream.connect(through)
                yield stream
            finally:
                await stream.close()

    async def connect(self, through: tuple[str, int] | None = None) -> None:
        """Open the UDP socket."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=through or (self.offer.host, self.offer.port)
        )
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER
        )
        self._reporter = loop.create_task(self._report())

    async def classify(self, image: bytes | Image) -> StreamAnswer:
        """Send an image (encoded, or uint8 RGB [H,W,3]) and wait for its answer.

        Raises DeadlineExceeded where none came in time, and what the agent answers.
        """
        if self.breaker.reason is not None:
            raise HawkVisionError(
                f"the circuit breaker stopped this stream: {self.breaker.reason}",
                hint="Send less, and open another stream.",
            )
        timestamp = self._timestamp()
        reply: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[timestamp] = reply
        try:
            async with self._turn:
                await self._send(self._sender.frame(image, timestamp))
            patience_s = (self.offer.deadline_ms + self._sending.patience_ms) / 1e3
            async with asyncio.timeout(patience_s):
                result = await reply
        except TimeoutError as error:
            raise DeadlineExceeded(
                "no answer came: all of the image, or all copies of its answer, were lost",
                hint="Send the next image; open the stream with parity on very lossy links.",
            ) from error
        finally:
            del self._waiting[timestamp]
        return await self._finished(result, image, timestamp)

    async def _finished(
        self, result: Mapping[str, Any], image: bytes | Image, timestamp: int
    ) -> StreamAnswer:
        found = FrameResult.parse(result)
        if isinstance(found.answer, HawkVisionError):
            raise found.answer
        answer, frame = found.answer, found.frame
        if found.resend:
            answer = await self._client.classify(
                image if isinstance(image, bytes) else self._sender.encoded(image),
                accuracy=self._asked.accuracy,
                task=self._asked.task,
                app=self._asked.app,
                top_k=self._asked.top_k,
            )
        return StreamAnswer(answer, timestamp, frame.lost_fraction, frame.complete, found.resend)

    def _timestamp(self) -> int:
        """The media clock now, different for every image."""
        now = int((time.monotonic() - self._begun) * CLOCK_HZ)
        self._last_timestamp = max(now, self._last_timestamp + 1)
        return (self._offset + self._last_timestamp) & 0xFFFF_FFFF

    async def _send(self, datagrams: list[bytes]) -> None:
        """Put datagrams on the wire at the stream's pace."""
        assert self._transport is not None
        for datagram in datagrams:
            delay = self._bucket.delay(len(datagram) + 28, time.monotonic())
            if delay > _LEAST_SLEEP_S:
                await asyncio.sleep(delay)
            self._transport.sendto(datagram)

    # What comes back.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """See asyncio."""
        packet = data if self._inbound is None else self._inbound.rtcp(data)
        if packet is None:
            return
        try:
            reports = parse_compound(packet)
        except MalformedPacket:
            return
        for report in reports:
            if isinstance(report, ReceiverReport) and report.blocks:
                self._reported(report.blocks[0])
        for result in results_in(reports):
            waiting = self._waiting.get(result["frame"].get("timestamp", -1))
            if waiting is not None and not waiting.done():
                waiting.set_result(result)

    def error_received(self, exc: Exception) -> None:
        """See asyncio: nobody listens there (yet); answers then do not come."""

    def _reported(self, block: ReportBlock) -> None:
        """The agent tells what it received."""
        now = time.time()
        if block.last_report:
            round_trip = (middle_ntp(ntp_time(now)) - block.last_report - block.delay) & 0xFFFFFFFF
            if round_trip < 0x8000_0000:
                self.rtt_s = round_trip / 65_536
        loss = block.fraction_lost / 256
        sender = self._sender
        sender.measured_loss += _SMOOTHING * (loss - sender.measured_loss)
        packets, octets = sender.packets_sent - self._sent[0], sender.octets_sent - self._sent[1]
        self._sent = (sender.packets_sent, sender.octets_sent)
        before, self._block = self._block, block
        self.breaker.report(
            Interval(
                loss=loss,
                rate=octets / _REPORT_S,
                packet_bytes=octets / max(1, packets),
                rtt_s=self.rtt_s or self._asked.rtt_ms / 1e3,
                advanced=before is None or block.highest_sequence != before.highest_sequence,
            ),
            time.monotonic(),
        )

    async def _report(self) -> None:
        """Sender reports every second, and the breaker's own time-out."""
        while True:
            await asyncio.sleep(_REPORT_S)
            sending = self._sender.packets_sent > self._sent[0]
            self.breaker.check(time.monotonic(), sending=sending)
            self._control(goodbye=False)

    def _control(self, *, goodbye: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(
                self._sender.report(self._timestamp(), time.time(), goodbye=goodbye)
            )

    async def status(self) -> StreamStatus:
        """The agent's counts of this stream."""
        return await self._client.stream_status(self.offer.id)

    async def close(self) -> None:
        """Say goodbye and end the stream."""
        if self._reporter is not None:
            self._reporter.cancel()
        self._control(goodbye=True)
        if self._transport is not None:
            self._transport.close()
        with contextlib.suppress(HawkVisionError):  # the agent ends it when nothing comes
            await self._client.close_stream(self.offer.id)
