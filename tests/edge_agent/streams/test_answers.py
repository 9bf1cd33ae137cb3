"""Lossy streams of a real agent: opened over HTTP, fed over real sockets, answered by events."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream, Sending
from hawkvision.contract.stream import FrameResult
from hawkvision.errors import InvalidRequest
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.wire.srtp import SUITES
from loadtest.link.model import LinkSettings
from loadtest.link.relay import UdpRelay
from tests.edge_agent.streams.talking import counted, opened, put, sender_of, until, url
from tests.lossy.photos import jpeg, picture
from tests.processes import Service


@pytest.mark.parametrize("suite", ["none", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"])
async def test_every_image_is_answered_as_over_http(agent: Service, suite: str) -> None:
    async with (
        AsyncClient(url(agent)) as client,
        LossyStream.open(url(agent), suite=suite, accuracy=0.85, deadline_ms=5000.0) as stream,
    ):
        for seed in range(8):
            # The intervals are fine enough for the image to be sent as it is.
            image = jpeg(seed, restart_marker_rows=0, restart_marker_blocks=6)
            found = await stream.classify(image)
            reference = await client.classify(image, accuracy=0.85)
            assert found.complete and found.lost_fraction == 0 and not found.resent
            assert found.answer.label == reference.label
            assert found.answer.confidence == pytest.approx(reference.confidence, abs=1e-6)
            assert found.answer.certified and found.answer.escalated == reference.escalated


@pytest.mark.parametrize("loss", [0.05, 0.10, 0.20])
async def test_on_a_lossy_link_every_frame_that_had_a_packet_is_answered_in_time(
    agent: Service, loss: float
) -> None:
    images = [jpeg(seed) for seed in range(60)]
    seen: dict[int, dict[str, Any]] = {}
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, accuracy="0.85", deadline_ms=400.0)
        sender = sender_of(offer)
        follower = asyncio.create_task(follow(client, offer.id, seen))
        link = LinkSettings(rate_bps=50e6, delay_s=0.002, jitter_s=0.001, loss=loss)
        with (
            UdpRelay((offer.host, offer.port), link, seed=int(100 * loss)) as relay,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
        ):
            for index, image in enumerate(images):
                for datagram in sender.frame(image, 9000 * index):
                    out.sendto(datagram, ("127.0.0.1", relay.port))
                await asyncio.sleep(0.04)
            await asyncio.sleep(0.4)
        status = await client.stream_status(offer.id)
        await client.close_stream(offer.id)
        await asyncio.wait_for(follower, 5)
    assert status.frames.in_flight == 0
    assert len(seen) == status.frames.answered + status.frames.failed
    assert len(seen) >= len(images) - 1  # a frame may lose all of its packets, at 20 % 1e-8 often
    assert status.frames.failed == 0 and status.packets.lost > 0
    damaged = [result for result in seen.values() if result["frame"]["lost_fraction"] > 0]
    assert damaged
    for result in seen.values():
        assert result["timing_ms"]["total"] <= 400 + 600  # how late, says the machine
        if result["degraded"] == "loss":
            assert not result["accuracy"]["certified"]
    uncertain = [one for one in damaged if one["frame"]["lost_fraction"] > 0.3]
    assert all(one["degraded"] is not None for one in uncertain)


async def follow(client: AsyncClient, stream_id: str, seen: dict[int, dict[str, Any]]) -> None:
    async for event in client.stream_events(stream_id, after=0):
        if isinstance(event, FrameResult):
            seen[event.frame.timestamp] = event.as_dict()


@pytest.mark.parametrize("image", [jpeg(3), picture(3)], ids=["encoded", "array"])
async def test_what_a_client_may_send_again_is_sent_again(agent: Service, image: Any) -> None:
    """Half of the packets are lost: no level certifies that, so the image comes over HTTP."""
    async with AsyncClient(url(agent)) as client:
        asked: dict[str, Any] = {"accuracy": 0.85, "resend": True, "task": "imagenette"}
        async with LossyStream.open(url(agent), sending=Sending(parity=0), **asked) as stream:
            whole = stream._sender.frame

            def every_other(image: Any, timestamp: int) -> list[bytes]:
                return whole(image, timestamp)[::2]

            stream._sender.frame = every_other  # type: ignore[method-assign]
            found = await stream.classify(image)
            reference = await client.classify(jpeg(3), accuracy=0.85)
    assert found.resent and found.lost_fraction > 0.3
    assert found.answer.certified and found.answer.label == reference.label


async def test_spoofed_replayed_and_unauthenticated_packets_change_nothing(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client)
        sender = sender_of(offer)
        first = sender.frame(jpeg(1), 1)
        forged = [packet[:-1] + bytes([packet[-1] ^ 0xFF]) for packet in first]
        plain = sender_of(StreamOffer.parse(offer.as_dict() | {"suite": "none", "key": ""}))
        await put(offer, forged + plain.frame(jpeg(2), 9) + [b"\x80\xc8\0\6" + bytes(24)])
        status = await client.stream_status(offer.id)
        assert not status.bound and status.frames.answered == 0
        assert status.packets.accepted == 0 and status.packets.rejected > 0
        await put(offer, first)
        await until(client, offer.id, 1)
        await put(offer, first)  # a replay, from another address
        status = await client.stream_status(offer.id)
        assert status.frames.answered == 1
        assert status.packets.accepted == len(first)


async def test_hostile_datagrams_do_not_disturb_the_agent(agent: Service) -> None:
    rng = random.Random(1)
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        good = sender.frame(jpeg(1), 1)
        hostile = [rng.randbytes(rng.randrange(0, 1500)) for _ in range(500)]
        for packet in good * 20:
            broken = bytearray(packet)
            for _ in range(rng.randrange(1, 6)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            broken[8:12] = good[0][8:12]
            hostile.append(bytes(broken[: rng.randrange(1, len(broken) + 1)]))
        await put(offer, hostile)
        await client.close_stream(offer.id)
        async with LossyStream.open(url(agent), suite="none") as stream:
            assert (await stream.classify(jpeg(4))).complete


async def test_damaged_answers_are_counted_by_loss_level(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        packets = sender.frame(jpeg(1), 1)
        await put(offer, packets[:-3] + packets[-1:])
        await until(client, offer.id, 1)
        for _ in range(100):
            body = await client.delivered(task="imagenette")
            levels = body.windows["1h"].overall.loss_levels
            if any(float(level) > 0 for level in levels):
                return
            await asyncio.sleep(0.05)
    raise AssertionError(body)


@pytest.mark.parametrize("suite", ["none", *SUITES])
async def test_datagrams_of_any_size_that_may_be_asked_for_work(agent: Service, suite: str) -> None:
    most = 9000 if suite == "none" else 1500
    async with AsyncClient(url(agent)) as client:
        with pytest.raises(InvalidRequest):
            await opened(client, suite=suite, mtu=most + 1)
        offer = await opened(client, suite=suite)
        await put(offer, [b"\x80\x1a" + bytes(6) + offer.ssrc.to_bytes(4, "big") + bytes(9000)])
        status = await client.stream_status(offer.id)
        assert status.packets.rejected + status.packets.malformed == 1
    asked: dict[str, Any] = {"suite": suite, "mtu": most, "top_k": 10, "deadline_ms": 5000.0}
    async with LossyStream.open(url(agent), **asked) as stream:
        assert (await stream.classify(jpeg(2, 640, 480))).complete


async def test_what_became_of_frames_packets_and_streams_is_in_the_metrics(agent: Service) -> None:
    """Failures too, and those of streams that are gone."""
    async with AsyncClient(url(agent)) as client:
        before = await counted(agent, "hawkvision_stream_frames")
        number, overloaded = 0, 0.0
        while not overloaded:  # more frames at once than a stream may have in hand
            # A new stream each time: one that loses too much to a full socket is stopped.
            offer = await opened(client, suite="none", deadline_ms=5000.0)
            sender = sender_of(offer)
            burst = []
            for _ in range(60):
                number += 1
                burst += list(sender.frame(jpeg(1), 9000 * number))
            await put(offer, [*burst, burst[0][:20]])
            frames = await counted(agent, "hawkvision_stream_frames")
            overloaded = frames.get("overloaded", 0.0) - before.get("overloaded", 0.0)
            packets = await counted(agent, "hawkvision_stream_packets")
            await client.close_stream(offer.id)
        assert frames["answered"] > before.get("answered", 0.0)
        assert packets["accepted"] > 0 and packets["malformed"] > 0
    after = await counted(agent, "hawkvision_stream_packets")
    assert after["accepted"] >= packets["accepted"]
    assert (await counted(agent, "hawkvision_streams_ended"))["deleted"] >= 1
