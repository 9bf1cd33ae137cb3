"""What arrives and cannot be answered is told, with what to do about it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import replace

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream
from hawkvision.contract.stream import Advice
from hawkvision.lossy.advice import ADVICE
from hawkvision.lossy.jpeg.scan import JpegScan
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.wire.rtp import RtpPacket
from tests.edge_agent.streams.talking import counted, opened, put, sender_of, told, until, url
from tests.lossy.photos import jpeg, unaligned
from tests.processes import Service

MAIN = struct.Struct("!IBBBB")


def rtp(offer: StreamOffer, number: int, payload: bytes, kind: int = 26) -> bytes:
    return bytes(RtpPacket(kind, True, number, 9000 * number, offer.ssrc, payload))


def jpeg_packet(
    kind: int, q: int, width: int, height: int, rest: bytes = b"", specific: int = 0
) -> bytes:
    return MAIN.pack(specific << 24, kind, q, width, height) + rest + b"\x28\xa2" * 20


@pytest.mark.parametrize(
    ("code", "payload", "kind"),
    [
        ("payload_type", b"\x65" + bytes(200), 96),
        ("payload_type", jpeg_packet(1, 75, 28, 28), 97),
        ("jpeg_type", jpeg_packet(2, 75, 28, 28), 26),
        ("interlaced", jpeg_packet(1, 75, 28, 28, specific=1), 26),
        ("interlaced", jpeg_packet(65, 75, 28, 28, b"\0\x0e\xff\xff", specific=2), 26),
        ("quality", jpeg_packet(1, 100, 28, 28), 26),
        ("size", jpeg_packet(1, 75, 0, 0), 26),
        ("restart_interval", jpeg_packet(65, 75, 28, 28, b"\0\x0e\xc0\x63"), 26),
        ("tables", jpeg_packet(1, 255, 28, 28, b"\0\0\0\x20" + bytes(32)), 26),
        ("no_tables", jpeg_packet(1, 255, 28, 28, b"\0\0\0\0"), 26),
        ("malformed", b"\0\0\0", 26),
    ],
)
async def test_what_cannot_be_answered_is_told_while_it_lasts(
    agent: Service, code: str, payload: bytes, kind: int
) -> None:
    """A word a second in the results, the status and the metrics; a good camera is answered."""
    before = await counted(agent, "hawkvision_stream_advice")
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none", deadline_ms=5000.0)
        codes: list[str] = []
        begun = time.monotonic()
        async with asyncio.timeout(20):
            follower = asyncio.create_task(follow_advice(client, offer.id, codes))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                number, least = 0, 2 if code == "payload_type" else 1
                while codes.count(code) < least:
                    number += 1
                    out.sendto(rtp(offer, number, payload, kind), (offer.host, offer.port))
                    await asyncio.sleep(0.02)
        status = await client.stream_status(offer.id)
        told = {one.code: one.message for one in status.advice}
        assert told[code] == ADVICE[code]
        assert codes.count(code) <= 1 + (time.monotonic() - begun)
        async with asyncio.timeout(20):  # frames may still be on their way to no answer
            after = before
            while after.get(code, 0.0) - before.get(code, 0.0) < number / 2:
                after = await counted(agent, "hawkvision_stream_advice")
        await client.close_stream(offer.id)
        await follower
        async with LossyStream.open(url(agent), suite="none", deadline_ms=5000.0) as stream:
            assert (await stream.classify(jpeg(4))).complete


async def follow_advice(client: AsyncClient, stream_id: str, codes: list[str]) -> None:
    async for event in client.stream_events(stream_id, after=0):
        codes += [event.code] if isinstance(event, Advice) else []


async def test_a_camera_without_restart_markers_is_told(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        fragments = unaligned(JpegScan.parse(jpeg(1, restart_marker_rows=0)))
        packets = [
            bytes(sender._packet(26, index == len(fragments) - 1, 7, bytes(fragment)))
            for index, fragment in enumerate(fragments)
        ]
        await put(offer, packets)
        status = await until(client, offer.id, 1)
        assert [one.code for one in status.advice] == ["no_restart_markers"]


async def test_a_camera_whose_timestamps_stand_still_is_told(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        telling = asyncio.create_task(told(client, offer, "timestamps"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not telling.done():
                for datagram in sender.frame(jpeg(1), 7):
                    out.sendto(datagram, (offer.host, offer.port))
                await asyncio.sleep(0.05)
        await telling


async def test_other_keys_and_sources_are_told(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client)
        plain = sender_of(replace(offer, suite="none", key=b""))
        await put(offer, plain.frame(jpeg(1), 1))
        await told(client, offer, "rejected")
        other = sender_of(replace(offer, ssrc=offer.ssrc ^ 1))
        for index in range(20):
            await put(offer, other.frame(jpeg(1), index))
        await told(client, offer, "unknown_source")
