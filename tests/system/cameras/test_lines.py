"""The command lines that are handed out for cameras work as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.lossy.wire.srtp import PLAIN, SUITES
from tests.processes import Service
from tests.system.cameras.senders import (
    FRAMES,
    bound_socket,
    needs,
    offer_at,
    receive,
    run,
    settled,
)

CAMERAS = {
    "v4l2src": f"videotestsrc num-buffers={FRAMES} ! video/x-raw,width=400,height=300",
    r"ffmpeg -f v4l2 -video_size \d+x\d+ -i /dev/video0": "ffmpeg -loglevel error -re -f lavfi "
    "-i testsrc=size=400x300:rate=25:duration=1",
}


def without_a_camera(line: str) -> str:
    """A printed line with a test picture of another size in the camera's place."""
    for camera, picture in CAMERAS.items():
        line = re.sub(camera, picture, line)
    assert "testsrc" in line
    return line


def test_a_raw_camera_gets_rows_of_mcus_from_stock_elements() -> None:
    needs("gstreamer")
    with bound_socket() as bound:
        offer = offer_at(bound.getsockname()[1], "AES_CM_128_HMAC_SHA1_80")
        line = offer.as_dict()["commands"]["gstreamer"].replace(
            "v4l2src", f"videotestsrc num-buffers={FRAMES} ! video/x-raw,width=320,height=240"
        )
        frames, _ = receive(offer, shlex.split(line), bound)
    assert len(frames) >= FRAMES - 2
    assert {frame.layout.interval for frame in frames} == {20}


@pytest.mark.parametrize("suite", [PLAIN, *SUITES])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
def test_a_camera_line_asks_for_the_size_and_works_in_a_shell(tool: str, suite: str) -> None:
    needs(tool)
    with bound_socket() as bound:
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
            lines = lines_of(printed, "waiting for images")
            line = lines[lines.index(f"{tool}:") + 1]
            run(["sh", "-c", f"exec {without_a_camera(line)}"])
            lines_of(printed, "by edge", "by dc")
        finally:
            viewer.terminate()
            viewer.wait(20)


def lines_of(file: Path, *wanted: str) -> list[str]:
    """Lines once one of these words stands among them."""
    for _ in range(300):
        text = file.read_text()
        if any(word in text for word in wanted):
            return text.splitlines()
        time.sleep(0.1)
    raise AssertionError(file.read_text())


@pytest.mark.parametrize("suite", [PLAIN, "AES_CM_128_HMAC_SHA1_80"])
@pytest.mark.parametrize("tool", ["gstreamer", "ffmpeg"])
async def test_images_beyond_the_header_are_answered_where_their_size_was_stated(
    tool: str, suite: str, agent: Service
) -> None:
    """5 megapixels, of which GStreamer says 0x0 px and FFmpeg 544x1944."""
    needs(tool)
    async with AsyncClient(f"http://{agent.address}") as client:
        asked: dict[str, Any] = {"width": 2592, "height": 1944, "suite": suite}
        offer = await client.open_stream(asked | {"deadline_ms": 10_000})
        line = without_a_camera(offer.as_dict()["commands"][tool])
        line = line.replace(f"num-buffers={FRAMES}", "num-buffers=5")
        line = line.replace("rate=25:duration=1", "rate=5:duration=1")
        await asyncio.to_thread(run, ["sh", "-c", f"exec {line}"])
        status = await settled(client, offer)
    assert status.frames.answered >= 4 and status.frames.failed == 0
    assert not {one.code for one in status.advice} & {"size", "undecodable", "over_limit"}
