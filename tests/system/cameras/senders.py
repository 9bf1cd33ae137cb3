"""GStreamer and FFmpeg, as Debian ships them, and what receives from them in a test."""

from __future__ import annotations

import asyncio
import io
import os
import shlex
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from PIL import Image

from hawkvision.client.async_client import AsyncClient
from hawkvision.contract.stream import StreamStatus
from hawkvision.lossy.assembler import AssemblyLimits, Frame
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.wire.rtp import is_rtcp
from hawkvision.lossy.wire.rtpjpeg import Size
from hawkvision.lossy.wire.srtp import Inbound, new_key, suite_named
from tests.lossy.photos import jpeg

FRAMES = 30
RATE = 25
SSRC = 123_456_789
PHOTOS = Path(os.environ.get("HAWKVISION_DATA", "")) / "imagenette.tar.gz"
TASK = ("--task", "imagenette")


def _missing(tool: str) -> str | None:
    program = "gst-launch-1.0" if tool == "gstreamer" else "ffmpeg"
    if shutil.which(program) is None:
        return f"{program} is not installed"
    if tool == "gstreamer":
        for element in ("rtpjpegpay", "srtpenc", "imagesequencesrc", "avenc_mjpeg"):
            found = subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False)
            if found.returncode != 0:
                return f"GStreamer has no {element}"
    return None


REASONS = {tool: _missing(tool) for tool in ("gstreamer", "ffmpeg")}


def needs(tool: str) -> None:
    if REASONS[tool]:
        pytest.skip(str(REASONS[tool]))


def photos() -> list[bytes]:
    """Real photos where they are, else pictures like them; a restart interval for each row."""
    if "HAWKVISION_DATA" not in os.environ or not PHOTOS.exists():
        return [jpeg(seed) for seed in range(FRAMES)]
    found: list[bytes] = []
    with tarfile.open(PHOTOS) as archive:
        for member in archive:
            if "/val/" in member.name and member.isfile():
                data = archive.extractfile(member)
                assert data is not None
                out = io.BytesIO()
                image = Image.open(data).convert("RGB").resize((224, 224))
                image.save(out, "JPEG", quality=85, subsampling=2, restart_marker_rows=1)
                found.append(out.getvalue())
                if len(found) == FRAMES:
                    break
    return found


def command(offer: StreamOffer, tool: str, sequence: Path, port: int | None = None) -> list[str]:
    """The command line that the agent hands out, for these files at this rate."""
    line = offer.as_dict()["commands"][f"{tool}_files"]
    line = line.replace("%05d", f"{sequence}/%05d").replace("rate=10/1", f"rate={RATE}/1")
    line = line.replace("-framerate 10", f"-loglevel error -framerate {RATE}")
    if port is not None:
        line = line.replace(f"port={offer.port}", f"port={port}")
        line = line.replace(f":{offer.port}?", f":{port}?")
    return shlex.split(line)


def run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def offer_at(port: int, suite: str) -> StreamOffer:
    found = suite_named(suite)
    key = new_key(found) if found else b""
    return StreamOffer("id", "127.0.0.1", port, SSRC, suite, key, 1200, 100, 50, 60, 14)


def receive(
    offer: StreamOffer, arguments: list[str], bound: socket.socket
) -> tuple[list[Frame], StreamReceiver]:
    """Run a client and assemble what it sends."""
    suite = offer.crypto
    crypto = Inbound(suite, offer.key, SSRC) if suite else None
    stated = Size.of_pixels(offer.width, offer.height)
    limits = AssemblyLimits(max_pixels=max(AssemblyLimits().max_pixels, offer.width * offer.height))
    receiver = StreamReceiver(SSRC, 0.05, limits, crypto, stated)
    frames: list[Frame] = []
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    quiet = 0.0
    while quiet < 0.3:
        now = time.monotonic()
        frames += receiver.poll(now)
        try:
            data = bound.recv(65_536)
        except TimeoutError:
            quiet += 0.02 if process.poll() is not None else 0.0
            continue
        if is_rtcp(data):
            receiver.rtcp(data, time.monotonic())
        else:
            frames += receiver.rtp(data, time.monotonic()) or []
    assert process.stderr is not None
    with process.stderr as errors:
        assert process.wait(20) == 0, errors.read()
    return frames, receiver


def bound_socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(0.02)
    return opened


async def settled(client: AsyncClient, offer: StreamOffer) -> StreamStatus:
    """The stream's counts once nothing is in flight any more."""
    before = await client.stream_status(offer.id)
    for _ in range(100):
        await asyncio.sleep(0.1)
        status = await client.stream_status(offer.id)
        if status == before and status.frames.in_flight == 0:
            break
        before = status
    await client.close_stream(offer.id)
    return before
