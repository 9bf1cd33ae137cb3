"""The UDP port of lossy streams: noise, forgeries, repetitions, frames of impossible sizes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.rtp import RtpPacket
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE, JpegFragment
from tests.attack.attack import FAILURES, Attack, Pace, Tally, Target, failure
from tests.attack.http import Client, send, session
from tests.attack.parameters import picture

_BURST = 20
_AGAIN_S = 0.5


async def _flood(
    target: Target, tally: Tally, made: Callable[[], bytes], *, rate: float = 2000
) -> None:
    """`rate` datagrams a second, in bursts, for ever."""
    pace = Pace(rate / _BURST)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.bind((target.source, 0))
        while True:
            await pace.turn()
            for _ in range(_BURST):
                with contextlib.suppress(OSError):
                    sender.sendto(made(), (target.host, target.udp))
            tally.add("datagrams", _BURST)


async def _noise(target: Target, tally: Tally) -> None:
    noise = random.Random(17)
    await _flood(target, tally, lambda: noise.randbytes(noise.choice((0, 1, 7, 11, 12, 50, 1400))))


def _fragment(noise: random.Random, *, offset: int = 0, side: int = 2040) -> bytes:
    layout = Layout(1, side, side, 1)
    return bytes(JpegFragment(offset, layout, 80, noise.randbytes(400), start=None))


def _rtp(noise: random.Random, ssrc: int, payload: bytes) -> bytes:
    """A packet as if of stream `ssrc`, with a tag's worth of noise after it."""
    packet = RtpPacket(
        PAYLOAD_TYPE, True, noise.randrange(65_536), noise.getrandbits(32), ssrc, payload
    )
    return bytes(packet) + noise.randbytes(10)


def _rtcp(noise: random.Random, ssrc: int) -> bytes:
    """A goodbye, a sender report or nonsense in the name of stream `ssrc`."""
    kind = noise.choice((200, 201, 203, 204, 205, 206))
    words = noise.randrange(1, 20)
    body = struct.pack(">I", ssrc) + noise.randbytes(4 * (words - 1))
    return struct.pack(">BBH", 0x81, kind, noise.choice((words, 0, 65_535))) + body


async def _forged(target: Target, tally: Tally) -> None:
    """In the name of a stream that somebody else sends: no key, so nothing may come of it."""
    noise = random.Random(19)

    def made() -> bytes:
        whole = (
            _rtcp(noise, target.ssrc)
            if noise.random() < 0.5
            else _rtp(noise, target.ssrc, _fragment(noise, offset=noise.getrandbits(24)))
        )
        return whole[: noise.randrange(1, len(whole))] if noise.random() < 0.3 else whole

    await _flood(target, tally, made)


async def _many_sources(target: Target, tally: Tally) -> None:
    noise = random.Random(23)
    await _flood(
        target, tally, lambda: _rtp(noise, noise.getrandbits(32), _fragment(noise, side=64))
    )


@asynccontextmanager
async def _own_stream(
    target: Target, tally: Tally, **asked: object
) -> AsyncIterator[dict[str, Any]]:
    async with session(target) as client:
        offer = await _opened(target, client, tally, asked)
        try:
            yield offer
        finally:
            with contextlib.suppress(Exception):
                path = f"/v1/streams/{offer['id']}"
                async with client.request("DELETE", path, headers=target.insider()):
                    pass


async def _opened(
    target: Target, client: Client, tally: Tally, asked: dict[str, object]
) -> dict[str, Any]:
    """The offer of a stream, asked for until there is one: other attackers may have filled up."""
    body = {"suite": "none", **asked}
    while True:
        try:
            status, said = await send(
                client, tally, "POST", "/v1/streams", json=body, headers=target.insider()
            )
            if status == 201:
                offer: dict[str, Any] = json.loads(said)
                return offer
        except FAILURES as error:
            tally.add(failure(error))
        await asyncio.sleep(_AGAIN_S)


async def _replayed(target: Target, tally: Tally) -> None:
    """The packets of one frame, again and again, old and new in any order."""
    noise = random.Random(29)
    async with _own_stream(target, tally) as offer:
        sender = StreamSender(int(offer["ssrc"]), SenderSettings(1200, 0, 85, 0.0), None)
        recorded = [
            packet for number in range(5) for packet in sender.frame(picture(), 9000 * number)
        ]
        await _flood(target, tally, lambda: noise.choice(recorded))


async def _huge_frames(target: Target, tally: Tally) -> None:
    """Frames of 2040 px a side that begin and never end, each at a new time."""
    noise = random.Random(31)
    async with _own_stream(target, tally, deadline_ms=60_000) as offer:
        ssrc = int(offer["ssrc"])
        numbers = iter(range(1 << 62))

        def made() -> bytes:
            number = next(numbers)
            offset = noise.choice((0, 0xFFFF00, noise.getrandbits(24)))
            packet = RtpPacket(
                PAYLOAD_TYPE,
                noise.random() < 0.3,
                number & 0xFFFF,
                number // 3 * 90 & 0xFFFF_FFFF,
                ssrc,
                _fragment(noise, offset=offset, side=noise.choice((8, 64, 2040))),
            )
            return bytes(packet)

        await _flood(target, tally, made)


ATTACKS = (
    Attack("udp-noise", "UDP", "2,000 datagrams/s of 0 to 1,400 random bytes", _noise),
    Attack("udp-forged", "UDP", "RTP and RTCP in another stream's name, cut short", _forged),
    Attack("udp-sources", "UDP", "2,000 packets/s, each of another SSRC", _many_sources),
    Attack("udp-replayed", "UDP", "the packets of five frames, again and again", _replayed),
    Attack("udp-frames", "UDP", "2040 px frames that begin and never end", _huge_frames),
)
