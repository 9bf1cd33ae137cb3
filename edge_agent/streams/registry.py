"""All lossy streams of an agent behind one UDP port, told apart by SSRC."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from edge_agent.classify import Classifier
from edge_agent.local import LocalTask
from edge_agent.parameters import ClassifyParameters, parse_app
from edge_agent.place import Place
from edge_agent.streams.forward import Forwarding
from edge_agent.streams.frames import FrameClassifier, FrameRequest
from edge_agent.streams.room import StreamRoom, owner_of
from edge_agent.streams.stream import Address, LossyStream
from edge_agent.streams.totals import StreamTotals
from hawkvision.cascade import parse_accuracy
from hawkvision.errors import HawkVisionError, InvalidRequest, TargetUnreachable, UnknownStream
from hawkvision.lossy.assembler import AssemblyLimits
from hawkvision.lossy.offer import StreamOffer, StreamRequest, advice_for
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.wire.rtp import is_rtcp
from hawkvision.lossy.wire.rtpjpeg import Size
from hawkvision.lossy.wire.srtp import Inbound, Outbound, new_key, suite_named
from hawkvision.serving.peers import is_loopback
from hawkvision.serving.ports import udp_socket

_SWEEP_S = 1.0
_IDS = 16
_HINT_S = 0.5


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`advertised_host` is what clients are told; None for the address they reached HTTP at."""

    room: StreamRoom = field(default_factory=StreamRoom)
    idle_s: float = 60.0
    advertised_host: str | None = None
    limits: AssemblyLimits = field(default_factory=AssemblyLimits)


class StreamRegistry(asyncio.DatagramProtocol):
    """Opens, finds and ends streams, and hands each datagram to the one it belongs to."""

    def __init__(
        self, classifier: Classifier, settings: StreamSettings, place: Place | None = None
    ) -> None:
        self.unknown = 0
        self.totals = StreamTotals()
        self._classifier = classifier
        self._frames = FrameClassifier(classifier)
        self._settings = settings
        self._by_ssrc: dict[int, LossyStream] = {}
        self._by_id: dict[str, LossyStream] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._hinted_s = 0.0
        self._forwarding = (
            None if place is None else Forwarding(place, self._forwarded, self._advise_silent)
        )

    @property
    def open_streams(self) -> int:
        """How many streams there are."""
        return len(self._by_id)

    def packets(self) -> Mapping[str, int]:
        """Packets of all streams since the agent started, by what became of them."""
        return self.totals.with_living(stream.packets for stream in self._by_id.values())

    async def bind(self, host: str, port: int, *, exact: bool) -> None:
        """Listen on UDP; without `exact`, on another port where this one is taken.

        Raises HawkVisionError.
        """
        try:
            bound = udp_socket(host, port)
        except OSError as error:
            if exact:
                raise HawkVisionError(
                    f"cannot listen on UDP {host}:{port}: {error.strerror or error}",
                    hint="Choose another --rtp-port.",
                ) from error
            bound = udp_socket(host, 0)
        await self.listen(bound)

    async def listen(self, bound: socket.socket) -> None:
        """On a UDP socket that is bound."""
        loop = asyncio.get_running_loop()
        if self._forwarding is not None:
            await self._forwarding.start()
        await loop.create_datagram_endpoint(lambda: self, sock=bound)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    @property
    def port(self) -> int:
        """The UDP port."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """See asyncio. Runs for every packet; nothing may escape."""
        if len(data) < 12:
            self.unknown += 1
            return
        at = 4 if is_rtcp(data) else 8
        ssrc = int.from_bytes(data[at : at + 4], "big")
        forwarding = self._forwarding
        if forwarding is not None and not forwarding.is_own(ssrc):
            if not forwarding.send(ssrc, data, addr):
                self.unknown += 1
            return
        self._forwarded(data, addr)

    def _forwarded(self, data: bytes, addr: Address) -> None:
        """A datagram that is for a stream of this worker, if it is for any."""
        at = 4 if is_rtcp(data) else 8
        stream = self._by_ssrc.get(int.from_bytes(data[at : at + 4], "big"))
        if stream is None or (stream.offer.crypto is None and not is_loopback(str(addr[0]))):
            self.unknown += 1
            if stream is not None:
                stream.advise("not_local")
            elif at == 8:
                self._hint(data, addr)
            return
        stream.datagram(data, addr)

    def _hint(self, data: bytes, addr: Address) -> None:
        """RTP of no stream is told to those that hear nothing and may be waiting for it."""
        now = time.monotonic()
        if data[0] >> 6 != 2 or now - self._hinted_s < _HINT_S:
            return
        self._hinted_s = now
        self._advise_silent(addr)
        if self._forwarding is not None:
            self._forwarding.hint(addr)

    def _advise_silent(self, addr: Address) -> None:
        for stream in self._by_id.values():
            if stream.hears is None and (stream.address is None or stream.address[0] == addr[0]):
                stream.advise("unknown_source")

    def error_received(self, exc: Exception) -> None:
        """See asyncio: a client's port is closed; its stream expires by itself."""

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    async def open(
        self, asked: StreamRequest, *, host: str, peer: str, counted: str
    ) -> LossyStream:
        """A new stream for a client at `peer`, who reached HTTP at `host`.

        `counted` is what its app is counted as (see `tracking.trust`). Raises InvalidRequest (also
        for plain RTP off loopback), TargetUnreachable, LimitReached, Overloaded.
        """
        settings, owner = self._settings, owner_of(counted, peer)
        self._make_room(owner, look_only=True)
        suite = suite_named(asked.suite)
        if suite is None and not is_loopback(peer):
            raise _plain_refused()
        wanted = self._wanted(asked, counted)
        local = wanted.request.local
        await asyncio.to_thread(local.loss_policy.prepare, wanted.accuracy, may_resend=asked.resend)
        self._make_room(owner)
        serves = self._classifier.task(local.task.name)
        if serves is not local:  # a new version took over meanwhile
            wanted = wanted.of_version(serves)
        ssrc = self._new_ssrc()
        key = new_key(suite) if suite else b""
        offer = StreamOffer(
            id=self._new_id(),
            host=settings.advertised_host or host,
            port=self.port,
            ssrc=ssrc,
            suite=asked.suite,
            key=key,
            mtu=asked.mtu,
            deadline_ms=asked.deadline_ms,
            wait_ms=asked.cutoff_ms,
            expires_s=settings.idle_s,
            interval_mcus=advice_for(asked),
            width=asked.width,
            height=asked.height,
        )
        stated, limits = Size.of_pixels(asked.width, asked.height), settings.limits
        if stated is not None:
            pixels = 64 * stated.width * stated.height
            limits = replace(limits, max_pixels=max(limits.max_pixels, pixels))
        receiver = StreamReceiver(
            ssrc,
            asked.cutoff_ms / 1e3,
            limits,
            Inbound(suite, key, ssrc) if suite else None,
            stated,
        )
        if asked.parity:
            receiver.expect_parity()
        outbound = Outbound(suite, key, ssrc ^ 0x8000_0000) if suite else None
        stream = LossyStream(
            offer, owner, asked, wanted, receiver, outbound, self._frames, self._send, self.totals
        )
        self._by_ssrc[ssrc] = self._by_id[offer.id] = stream
        return stream

    def _make_room(self, owner: str, *, look_only: bool = False) -> None:
        now = time.monotonic()
        gives_way = self._settings.room.check(owner, self._by_id.values(), now)
        if gives_way is not None and not look_only:
            self.end(gives_way.offer.id, "gave_way")

    def _wanted(self, asked: StreamRequest, counted: str) -> FrameRequest:
        """Check task, app and target once for all frames."""
        parameters = ClassifyParameters(
            task=asked.task,
            accuracy=None if asked.accuracy is None else parse_accuracy(asked.accuracy),
            deadline_ms=asked.deadline_ms,
            top_k=asked.top_k,
            app=None if asked.app is None else parse_app(asked.app),
        )
        request = self._classifier.resolve(parameters, 0.0, None, counted)
        policy = request.local.policy
        accuracy = request.target.accuracy
        return FrameRequest(
            request=request._replace(target=policy.resolve(accuracy)),
            accuracy=accuracy,
            deadline_s=asked.deadline_ms / 1e3,
            may_resend=asked.resend,
            keep_previous=asked.conceal == "previous",
        )

    def _new_id(self) -> str:
        """A secret; among several workers it begins with the number of this one."""
        secret = secrets.token_urlsafe(_IDS)
        return secret if self._forwarding is None else f"{self._forwarding.index}.{secret}"

    def _new_ssrc(self) -> int:
        """Below 2^31: FFmpeg takes a signed number, and the other half is for our own reports.

        Among several workers it says which one has the stream.
        """
        while True:
            ssrc = secrets.randbits(31)
            if self._forwarding is not None and not self._forwarding.is_own(ssrc):
                continue
            if ssrc and ssrc not in self._by_ssrc:
                return ssrc

    def prepare(self, local: LocalTask) -> None:
        """Compute what the open streams of a task will need of a version; on another thread."""
        for stream in list(self._by_id.values()):
            wanted = stream.wanted
            if wanted.request.local.task.name == local.task.name:
                with contextlib.suppress(TargetUnreachable):
                    local.loss_policy.prepare(wanted.accuracy, may_resend=wanted.may_resend)

    def follow(self, name: str, local: LocalTask | None) -> None:
        """Let the streams of a task go on with this version from their next frame on.

        A stream ends where there is none, or where it cannot certify what the stream asks for.
        """
        for stream_id, stream in list(self._by_id.items()):
            if stream.wanted.request.local.task.name != name:
                continue
            if local is None:
                self.end(stream_id, "unloaded")
                continue
            try:
                stream.wanted = stream.wanted.of_version(local)
            except TargetUnreachable:
                self.end(stream_id, "target_unreachable")

    def get(self, stream_id: str) -> LossyStream:
        """Raises UnknownStream."""
        found = self._by_id.get(stream_id)
        if found is None:
            raise UnknownStream(
                "no such stream; it may have expired", hint="POST /v1/streams opens one."
            )
        return found

    def end(self, stream_id: str, reason: str) -> None:
        """Close a stream. Raises UnknownStream."""
        stream = self.get(stream_id)
        del self._by_id[stream_id], self._by_ssrc[stream.offer.ssrc]
        self.totals.end(stream.stopped or reason, stream.packets)
        stream.close(reason)

    def _sweep(self) -> None:
        """End streams that nobody sends to."""
        now = time.monotonic()
        for stream_id, stream in list(self._by_id.items()):
            if now - stream.heard_s > self._settings.idle_s:
                self.end(stream_id, "expired")
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def close(self) -> None:
        """End all streams and the socket."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for stream_id in list(self._by_id):
            self.end(stream_id, "agent_stops")
        if self._transport is not None:
            self._transport.close()
        if self._forwarding is not None:
            self._forwarding.close()


def _plain_refused() -> InvalidRequest:
    return InvalidRequest(
        "RTP without SRTP is for clients on this machine only",
        hint="Leave out suite, or name AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM.",
    )
