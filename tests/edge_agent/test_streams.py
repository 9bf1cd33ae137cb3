"""Lossy streams of a real agent: opened over HTTP, fed over real sockets, answered by events."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream, Sending
from hawkvision.contract.stream import Advice, FrameResult, StreamEnd, StreamEvent, StreamStatus
from hawkvision.errors import HawkVisionError, InvalidRequest, Overloaded, UnknownStream
from hawkvision.lossy.advice import ADVICE
from hawkvision.lossy.jpeg.scan import JpegScan
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.rtp import RtpPacket
from hawkvision.lossy.wire.srtp import SUITES, Outbound, suite_named
from hawkvision.repository import shipped_repository
from hawkvision.serving.peers import is_loopback
from loadtest.link.model import LinkSettings
from loadtest.link.relay import UdpRelay
from tests.lossy.photos import jpeg, picture, unaligned
from tests.processes import Service, edge, gateway

TASK = ("--task", "imagenette")


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with (
        gateway(shipped_repository(), *TASK) as dc,
        edge(shipped_repository(), dc.address, *TASK) as service,
    ):
        yield service


def url(service: Service) -> str:
    return f"http://{service.address}"


async def opened(client: AsyncClient, **asked: Any) -> StreamOffer:
    return await client.open_stream(asked)


def sender_of(offer: StreamOffer) -> StreamSender:
    suite = suite_named(offer.suite)
    return StreamSender(
        offer.ssrc,
        SenderSettings(offer.mtu, offer.tag_bytes),
        Outbound(suite, offer.key, offer.ssrc) if suite else None,
    )


async def put(offer: StreamOffer, datagrams: list[bytes], from_port: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.0.0.1", from_port))
        for datagram in datagrams:
            out.sendto(datagram, (offer.host, offer.port))
        await asyncio.sleep(0.05)


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
        follower = asyncio.create_task(_follow(client, offer.id, seen))
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


async def _follow(client: AsyncClient, stream_id: str, seen: dict[int, dict[str, Any]]) -> None:
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
        await _until(client, offer.id, 1)
        await put(offer, first)  # a replay, from another address
        status = await client.stream_status(offer.id)
        assert status.frames.answered == 1
        assert status.packets.accepted == len(first)


async def test_a_plain_stream_belongs_to_its_first_address(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        await put(offer, sender.frame(jpeg(1), 1))
        await put(offer, sender.frame(jpeg(2), 90_000))
        status = await _until(client, offer.id, 1)
        assert status.packets.rejected > 0 and status.frames.answered == 1


async def _until(client: AsyncClient, stream_id: str, answered: int) -> StreamStatus:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        status = await client.stream_status(stream_id)
        if status.frames.answered >= answered:
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {answered} answered: {status}")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"accuracy": "0.999"}, "target_unreachable"),
        ({"accuracy": "no"}, "invalid_request"),
        ({"task": "no-such"}, "unknown_task"),
        ({"app": "no-such"}, "unknown_app"),
        ({"mtu": 1}, "invalid_request"),
        ({"color": 1}, "invalid_request"),
    ],
)
async def test_bad_requests_say_what_is_wrong(agent: Service, asked: Any, code: str) -> None:
    async with AsyncClient(url(agent)) as client:
        with pytest.raises(HawkVisionError) as caught:
            await client.open_stream(asked)
        assert caught.value.code == code


async def test_an_unknown_stream_is_404(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        for call in (client.stream_status, client.close_stream):
            with pytest.raises(UnknownStream):
                await call("no-such")
        with pytest.raises(UnknownStream):
            async for _ in client.stream_events("no-such"):
                pass


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
        status = await _until(client, offer.id, 1)
        assert [one.code for one in status.advice] == ["no_restart_markers"]


async def test_limits_and_expiry(agent: Service) -> None:
    options = (*TASK, "--max-streams", "2", "--stream-idle-s", "1")
    with edge(shipped_repository(), "127.0.0.1:1", *options) as small:
        async with AsyncClient(url(small)) as client:
            first = await opened(client)
            await opened(client)
            with pytest.raises(Overloaded) as caught:
                await opened(client)
            assert caught.value.retry_after_s == 10
            events = [event.event async for event in client.stream_events(first.id)]
            assert events == ["end"]
            with pytest.raises(UnknownStream):
                await client.stream_status(first.id)
            await opened(client)


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
        await _until(client, offer.id, 1)
        for _ in range(100):
            body = await client.delivered(task="imagenette")
            levels = body.windows["1h"].overall.loss_levels
            if any(float(level) > 0 for level in levels):
                return
            await asyncio.sleep(0.05)
    raise AssertionError(body)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_keys_can_be_handed_out_over_https(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    line = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-keyout {key} -out {cert} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(line.split(), check=True, capture_output=True)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(1))
    options = (*TASK, "--tls-cert", str(cert), "--tls-key", str(key))
    with edge(shipped_repository(), "127.0.0.1:1", *options) as service:
        send = (
            f"-m hawkvision.cli stream send {photo} --accuracy 0.8 --url https://{service.address}"
        )
        done = subprocess.run(
            [sys.executable, *send.split()],
            env={**os.environ, "SSL_CERT_FILE": str(cert)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 answered" in done.stdout


async def test_streams_end_when_the_agent_drains() -> None:
    with edge(shipped_repository(), "127.0.0.1:1", *TASK) as service:
        async with AsyncClient(url(service)) as client:
            offer = await opened(client)
            follower = asyncio.create_task(_collect(client, offer.id))
            await asyncio.sleep(0.2)
            start = time.monotonic()
            assert await asyncio.to_thread(service.terminate) == 0
            assert time.monotonic() - start < 5
            assert await follower == [StreamEnd("agent_stops")]


async def _collect(client: AsyncClient, stream_id: str) -> list[StreamEvent]:
    return [event async for event in client.stream_events(stream_id)]


async def test_plain_rtp_is_refused_off_loopback() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("10.0.0.1") and not is_loopback("fe80::1%eth0")
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    with edge(shipped_repository(), "127.0.0.1:1", *TASK, "--host", "0.0.0.0") as service:
        async with aiohttp.ClientSession() as session:
            base = f"http://{address}:{service.port}/v1/streams"
            async with session.post(base, json={"suite": "none"}) as reply:
                assert reply.status == 400
                assert "SRTP" in (await reply.json())["error"]["message"]
            async with session.post(base, json={}) as reply:
                body = await reply.json()
                assert reply.status == 201 and body["address"]["host"] == address
                assert "warning" in body


def _own_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found


async def test_bad_options_of_requests_raise(agent: Service) -> None:
    with pytest.raises(InvalidRequest):
        async with LossyStream.open(url(agent), mtu=99_999):
            pass


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
            follower = asyncio.create_task(_advice(client, offer.id, codes))
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


async def _advice(client: AsyncClient, stream_id: str, codes: list[str]) -> None:
    async for event in client.stream_events(stream_id, after=0):
        codes += [event.code] if isinstance(event, Advice) else []


async def told(client: AsyncClient, offer: StreamOffer, code: str) -> None:
    """Wait until the stream's advice has this code."""
    async with asyncio.timeout(20):
        while code not in {one.code for one in (await client.stream_status(offer.id)).advice}:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("suite", SUITES)
async def test_a_camera_begun_anew_is_told_and_a_recording_is_not(
    agent: Service, suite: str
) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite=suite)
        sender = sender_of(offer)
        sender._sequence = 30_000
        sent = [one for index in range(3) for one in sender.frame(jpeg(index), 9000 * index)]
        await put(offer, sent)
        await _until(client, offer.id, 3)
        await put(offer, sent)
        await told(client, offer, "rejected")
        status = await client.stream_status(offer.id)
        assert [one.code for one in status.advice] == ["rejected"]
        again = sender_of(offer)
        again._sequence = 20_000
        await put(offer, again.frame(jpeg(1), 0x6000_0000))
        await told(client, offer, "restarted")
        ahead = sender_of(offer)
        ahead._sequence = 32_000
        await put(offer, ahead.frame(jpeg(1), 0x5000_0000))
        await told(client, offer, "resumed")
        status = await _until(client, offer.id, 4)
        assert status.packets.lost == 0


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


async def test_two_cameras_on_one_plain_line_are_told(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
        ):
            telling = asyncio.create_task(told(client, offer, "two_senders"))
            number = 0
            while not telling.done():
                number += 1
                for out in (one, two):
                    for datagram in sender.frame(jpeg(1), 9000 * number):
                        out.sendto(datagram, (offer.host, offer.port))
                await asyncio.sleep(0.05)
            await telling
        status = await client.stream_status(offer.id)
        assert status.frames.answered > 0 and status.packets.rejected > 0


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


async def counted(agent: Service, name: str) -> dict[str, float]:
    """A metric with one label: its value by the label's."""
    async with aiohttp.ClientSession() as session, session.get(f"{url(agent)}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return {
        line.split('"')[1]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(f"{name}_total{{")
    }


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
