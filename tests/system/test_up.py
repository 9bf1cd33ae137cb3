"""`hawkvision up` as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from hawkvision.client import Client
from tests.models import build_tiny_repository, coloured_jpeg


def start_up(repository: Path) -> tuple[subprocess.Popen[str], str]:
    """A running `up` on free ports, and the agent's URL."""
    command = [sys.executable, "-m", "hawkvision.cli", "up", "--port", "0", "--gateway-port", "0"]
    process = subprocess.Popen(
        [*command, "--model-repository", str(repository)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("edge agent ready on "):
            return process, line.split()[4]
    raise AssertionError("no ready line")


def test_up_serves_restarts_a_dead_gateway_and_stops_clean(tmp_path: Path) -> None:
    process, url = start_up(build_tiny_repository(tmp_path))
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        with Client(url) as client:
            top = client.tasks()[0].highest_certifiable
            images = [coloured_jpeg("red", seed=seed) for seed in range(1, 25)]
            assert any(client.classify(image, accuracy=top).escalated for image in images)
            dc = next(child for child in children if "dc" in child.cmdline())
            os.kill(dc.pid, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while not any(client.classify(image, accuracy=top).escalated for image in images):
                assert time.monotonic() < deadline
        children = psutil.Process(process.pid).children(recursive=True)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - start < 5
        assert not psutil.wait_procs(children, 1)[1]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
