"""GStreamer and FFmpeg, as Debian ships them, send photos into lossy streams, plain and SRTP."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hawkvision.client.async_client import AsyncClient
from hawkvision.contract.stream import Advice, FrameResult, StreamEvent, StreamStatus
from hawkvision.errors import HawkVisionError
from hawkvision.images import decode
from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.jpeg.pixels import decode_frame
from hawkvision.lossy.jpeg.rebuild import rebuild
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.receiver import StreamReceiver
from hawkvision.lossy.wire.rtp import is_rtcp
from hawkvision.lossy.wire.srtp import PLAIN, SUITES, Inbound, new_key, suite_named
from hawkvision.repository import shipped_repository
from loadtest.link.model import LinkSettings
from loadtest.link.relay import UdpRelay
from tests.lossy.photos import jpeg
from tests.processes import Service, edge, gateway

FRAMES = 30
RATE = 25
SSRC = 123_456_789
PHOTOS = Path(os.environ.get("HAWKVISION_DATA", "")) / "imagenette.tar.gz"
TASK = ("--task", "imagenette")
REFUSED = {"restarted", "rejected"}


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


def _photos() -> list[bytes]:
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


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    for index, data in enumerate(_photos()):
        (folder / f"{index:05d}.jpg").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def references(sequence: Path) -> list[npt.NDArray[np.uint8]]:
    return [decode(path.read_bytes()) for path in sorted(sequence.glob("*.jpg"))]


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with (
        gateway(shipped_repository(), *TASK) as dc,
        edge(shipped_repository(), dc.address, *TASK) as service,
    ):
        yield service


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
    receiver = StreamReceiver(SSRC, 0.05, None, crypto)
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


def _bound() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(0.02)
    return opened


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_decoded_frames_equal_the_senders(
    tool: str, suite: str, sequence: Path, references: list[npt.NDArray[np.uint8]]
) -> None:
    needs(tool)
    if tool == "ffmpeg" and suite == "AEAD_AES_128_GCM":
        pytest.skip("FFmpeg has no GCM")
    with _bound() as bound:
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
    with _bound() as bound:
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


def test_a_raw_camera_gets_rows_of_mcus_from_stock_elements() -> None:
    needs("gstreamer")
    with _bound() as bound:
        offer = offer_at(bound.getsockname()[1], "AES_CM_128_HMAC_SHA1_80")
        line = offer.as_dict()["commands"]["gstreamer"].replace(
            "v4l2src", f"videotestsrc num-buffers={FRAMES} ! video/x-raw,width=320,height=240"
        )
        frames, _ = receive(offer, shlex.split(line), bound)
    assert len(frames) >= FRAMES - 2
    assert {frame.layout.interval for frame in frames} == {20}


CAMERAS = {
    "v4l2src": f"videotestsrc num-buffers={FRAMES} ! video/x-raw,width=400,height=300",
    "ffmpeg -f v4l2 -video_size 320x240 -i /dev/video0": "ffmpeg -loglevel error -re -f lavfi "
    "-i testsrc=size=400x300:rate=25:duration=1",
}


def without_a_camera(line: str) -> str:
    """A printed line with a test picture of another size in the camera's place."""
    for camera, picture in CAMERAS.items():
        line = line.replace(camera, picture)
    assert "testsrc" in line
    return line


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_a_camera_line_asks_for_the_size_and_works_in_a_shell(tool: str, suite: str) -> None:
    needs(tool)
    with _bound() as bound:
        offer = replace(offer_at(bound.getsockname()[1], suite), width=320, height=240)
        line = offer.as_dict()["commands"].get(tool)
        if line is None:
            pytest.skip("FFmpeg has no GCM")
        frames, _ = receive(offer, ["sh", "-c", f"exec {without_a_camera(line)}"], bound)
    assert len(frames) >= 10
    assert {(frame.layout.width, frame.layout.height) for frame in frames} == {(320, 240)}
    assert all(frame.complete for frame in frames)


@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_the_size_of_the_command_reaches_the_line_that_it_prints(
    tool: str, agent: Service, tmp_path: Path
) -> None:
    """As a user does: copy the line from the terminal, and look at the answers there."""
    needs(tool)
    printed = tmp_path / "printed.txt"
    open_stream = f"stream open --size 320x240 --url http://{agent.address}"
    with (
        printed.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "hawkvision.cli", *open_stream.split()],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as viewer,
    ):
        try:
            lines = _printed(printed, "waiting for images")
            line = lines[lines.index(f"{tool}:") + 1]
            run(["sh", "-c", f"exec {without_a_camera(line)}"])
            _printed(printed, "by edge", "by dc")
        finally:
            viewer.terminate()
            viewer.wait(20)


def _printed(file: Path, *wanted: str) -> list[str]:
    """Lines once one of these words stands among them."""
    for _ in range(300):
        text = file.read_text()
        if any(word in text for word in wanted):
            return text.splitlines()
        time.sleep(0.1)
    raise AssertionError(file.read_text())


@pytest.mark.parametrize("suite", [PLAIN, "AES_CM_128_HMAC_SHA1_80"])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_every_frame_is_classified(
    tool: str, suite: str, agent: Service, sequence: Path
) -> None:
    needs(tool)
    async with AsyncClient(f"http://{agent.address}") as client:
        offer = await client.open_stream({"suite": suite, "accuracy": "0.85"})
        await asyncio.to_thread(run, command(offer, tool, sequence))
        status = await _settled(client, offer)
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
            status = await _settled(client, offer)
    frames = status.frames
    assert frames.answered + frames.failed == FRAMES
    assert frames.failed == 0 and frames.damaged > 0


@pytest.mark.parametrize("loss", [0.05, 0.10, 0.20])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_on_a_lossy_link_nothing_is_misplaced(
    tool: str, loss: float, sequence: Path, references: list[npt.NDArray[np.uint8]]
) -> None:
    needs(tool)
    with _bound() as bound:
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


async def starts_and_stops(
    client: AsyncClient, offer: StreamOffer, arguments: list[str], rounds: int
) -> list[tuple[int, str | None, float]]:
    """Start a camera, kill it when it was heard, start it again, and so on.

    For each start the frames answered, what was told where none was, and the seconds until that.
    """
    events: asyncio.Queue[StreamEvent] = asyncio.Queue()

    async def follow() -> None:
        async for event in client.stream_events(offer.id, after=0):
            events.put_nowait(event)

    follower = asyncio.create_task(follow())
    found: list[tuple[int, str | None, float]] = []
    try:
        for _ in range(rounds):
            camera = await asyncio.create_subprocess_exec(
                *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            begun, answered, told = time.monotonic(), 0, None
            try:
                async with asyncio.timeout(30):
                    while answered < 8 and told is None:
                        event = await events.get()
                        if isinstance(event, FrameResult):
                            answered += not isinstance(event.answer, HawkVisionError)
                        elif isinstance(event, Advice) and event.code in REFUSED:
                            told = event.code
            finally:
                with contextlib.suppress(ProcessLookupError):
                    camera.kill()
                await camera.wait()
            found.append((answered, told, time.monotonic() - begun))
            await asyncio.sleep(0.2)  # frames that are still being answered
            while not events.empty():
                events.get_nowait()
    finally:
        follower.cancel()
    return found


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_a_camera_that_is_stopped_and_started_is_answered_or_told(
    tool: str, suite: str, agent: Service, sequence: Path
) -> None:
    needs(tool)
    if tool == "ffmpeg" and suite == "AEAD_AES_128_GCM":
        pytest.skip("FFmpeg has no GCM")
    async with AsyncClient(f"http://{agent.address}") as client:
        offer = await client.open_stream({"suite": suite, "accuracy": "0.85"})
        starts = await starts_and_stops(client, offer, command(offer, tool, sequence), 2)
        status = await _settled(client, offer)
    assert starts[0][0] == 8
    if suite == PLAIN:
        assert all(answered == 8 for answered, _, _ in starts)
        assert "resumed" in {one.code for one in status.advice}
    assert all(answered == 8 or told for answered, told, _ in starts)
    assert "congestion" not in {one.code for one in status.advice}
    assert status.packets.lost < 100  # nothing is lost here, and no start counts as loss


async def _settled(client: AsyncClient, offer: StreamOffer) -> StreamStatus:
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
