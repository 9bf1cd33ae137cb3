"""GStreamer and FFmpeg send photos into lossy streams, plain and SRTP, over good and bad links."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.images import decode
from hawkvision.lossy.jpeg.pixels import decode_frame
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.wire.srtp import PLAIN, SUITES
from loadtest.link.model import LinkSettings
from loadtest.link.relay import UdpRelay
from tests.processes import Service
from tests.system.cameras.senders import (
    FRAMES,
    RATE,
    bound_socket,
    command,
    needs,
    offer_at,
    receive,
    run,
    settled,
)


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_decoded_frames_equal_the_senders(
    tool: str, suite: str, sequence: Path, references: list[npt.NDArray[np.uint8]]
) -> None:
    needs(tool)
    if tool == "ffmpeg" and suite == "AEAD_AES_128_GCM":
        pytest.skip("FFmpeg has no GCM")
    with bound_socket() as bound:
        offer = offer_at(bound.getsockname()[1], suite)
        frames, receiver = receive(offer, command(offer, tool, sequence), bound)
    assert len(frames) == FRAMES and all(frame.complete for frame in frames)
    assert receiver.counts.rejected == 0 and receiver.reception.lost == 0
    for frame, reference in zip(frames, references, strict=True):
        assert np.array_equal(decode_frame(rebuild(frame)).image, reference)


def test_gstreamers_parity_is_understood(
    sequence: Path, references: list[npt.NDArray[np.uint8]]
) -> None:
    needs("gstreamer")
    with bound_socket() as bound:
        offer = offer_at(bound.getsockname()[1], PLAIN)
        link = LinkSettings(rate_bps=1e8, delay_s=0.001, loss=0.08)
        with UdpRelay(("127.0.0.1", offer.port), link, seed=4) as relay:
            line = " ".join(command(offer, "gstreamer", sequence, relay.port))
            parity = "rtpulpfecenc pt=122 percentage=40 percentage-important=40 ! udpsink"
            frames, receiver = receive(offer, line.replace("udpsink", parity).split(), bound)
    complete = sum(frame.complete for frame in frames)
    assert receiver.parity.recovered > 5 and complete > 0.6 * FRAMES
    for frame in frames:
        if frame.complete:
            image = decode_frame(rebuild(frame)).image
            assert any(np.array_equal(image, reference) for reference in references)


@pytest.mark.parametrize("suite", [PLAIN, "AES_CM_128_HMAC_SHA1_80"])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_every_frame_is_classified(
    tool: str, suite: str, agent: Service, sequence: Path
) -> None:
    needs(tool)
    async with AsyncClient(f"http://{agent.address}") as client:
        offer = await client.open_stream({"suite": suite, "accuracy": "0.85"})
        await asyncio.to_thread(run, command(offer, tool, sequence))
        status = await settled(client, offer)
    assert status.frames.answered == FRAMES
    assert status.frames.damaged == 0 and status.packets.rejected == 0


@pytest.mark.parametrize("loss", [0.05, 0.10, 0.20])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_on_a_lossy_link_what_arrives_is_answered(
    tool: str, loss: float, agent: Service, sequence: Path
) -> None:
    needs(tool)
    async with AsyncClient(f"http://{agent.address}") as client:
        offer = await client.open_stream({"accuracy": "0.85"})
        link = LinkSettings(rate_bps=1e8, delay_s=0.002, loss=loss)
        with UdpRelay((offer.host, offer.port), link, seed=7) as relay:
            await asyncio.to_thread(run, command(offer, tool, sequence, relay.port))
            status = await settled(client, offer)
    frames = status.frames
    assert frames.answered + frames.failed == FRAMES
    assert frames.failed == 0 and frames.damaged > 0


@pytest.mark.parametrize("loss", [0.05, 0.10, 0.20])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_on_a_lossy_link_nothing_is_misplaced(
    tool: str, loss: float, sequence: Path, references: list[npt.NDArray[np.uint8]]
) -> None:
    needs(tool)
    with bound_socket() as bound:
        offer = offer_at(bound.getsockname()[1], PLAIN)
        link = LinkSettings(rate_bps=1e8, delay_s=0.001, loss=loss)
        with UdpRelay(("127.0.0.1", offer.port), link, seed=3) as relay:
            frames, _ = receive(offer, command(offer, tool, sequence, relay.port), bound)
    step = 90_000 // RATE
    first = min(frame.timestamp for frame in frames)
    damaged = 0
    for frame in frames:
        rebuilt = rebuild(frame)
        image = decode(rebuilt.jpeg)
        if rebuilt.lost is None or not rebuilt.tables_known:
            continue
        damaged += 1
        index = round((frame.timestamp - first) / step)
        kept = np.argwhere(~rebuilt.lost)
        for row, column in kept:
            # Inside of an MCU: chroma is interpolated across borders.
            inside = slice(16 * row + 2, 16 * row + 14), slice(16 * column + 2, 16 * column + 14)
            assert np.array_equal(image[inside], references[index][inside])
    assert damaged > 0
