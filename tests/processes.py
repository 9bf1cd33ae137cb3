"""Start real HawkVision processes on free ports, and wait until they say that they are ready."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hawkvision.cli.processes import Child
from hawkvision.errors import HawkVisionError

HANGS_S = 600.0
"""However busy the machine is, only what hangs takes so long."""


@dataclass
class Service:
    """A running process and the address that it printed."""

    child: Child
    address: str

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process itself."""
        return self.child.process

    @property
    def output(self) -> str:
        """What it has printed so far, errors too."""
        return "".join(self.child.said)

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
    child = Child(command, options, echo=False, keep=True)
    try:
        address = child.wait_ready(ready_s=HANGS_S)
    except HawkVisionError as error:
        child.kill()
        raise AssertionError(f"{error}:\n{''.join(child.said)}") from error
    return Service(child, address.rpartition("//")[2])


@contextmanager
def running(command: str, *options: str) -> Iterator[Service]:
    """As `start`, and stopped at the end."""
    service = start(command, *options)
    try:
        yield service
    finally:
        service.child.kill()


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
    """A port that nothing listens on.

    It lies below those that systems give to sockets which ask for any (RFC 6335 begins them at
    49152, Linux at 32768): what runs beside the test does not take it meanwhile.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
