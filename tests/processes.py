"""Start real HawkVision processes on free ports, and wait until they say that they are ready."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_S = 60.0


@dataclass
class Service:
    """A running process and the address that it printed."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.address.rsplit(":", 1)[1])

    def terminate(self, timeout_s: float = 10.0) -> int:
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def start(command: str, *options: str) -> Service:
    """Start `hawkvision COMMAND OPTIONS`; fails with its output if it does not get ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hawkvision.cli", command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(READY_S, process.kill)
    watchdog.start()
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        ready = re.search(r"ready on (?:https?://)?(\S+:\d+)", line)
        if ready:
            watchdog.cancel()
            return Service(process, ready.group(1))
    watchdog.cancel()
    process.stdout.close()
    process.wait(10)
    raise AssertionError(f"hawkvision {command} did not get ready:\n{''.join(seen)}")


@contextmanager
def running(command: str, *options: str) -> Iterator[Service]:
    """As `start`, and stopped at the end."""
    service = start(command, *options)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait(10)
        if service.process.stdout is not None:
            service.process.stdout.close()


@contextmanager
def edge(repository: Path, gateway: str, *options: str, port: int = 0) -> Iterator[Service]:
    """A real edge agent."""
    base = ("--port", str(port), "--gateway", gateway, "--model-repository", str(repository))
    with running("edge", *base, *options) as service:
        yield service


@contextmanager
def gateway(repository: Path, *options: str, port: int = 0) -> Iterator[Service]:
    """A real data-center gateway."""
    base = ("--port", str(port), "--model-repository", str(repository))
    with running("dc", *base, *options) as service:
        yield service


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
