"""What is attacked: gateway, agent and store as processes, at default settings; their sizes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hawkvision.cli.processes import Child
from tests.attack.attack import Target
from tests.attack.record import Result, Size

DESCRIPTORS = 1024
"""What a service may open, as most systems have it."""

_EVERY_S = 0.25
_PATIENCE_S = 120.0


def _limited(words: list[str]) -> list[str]:
    return ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh", *words]


@dataclass
class Service:
    """One process that is watched: sizes by time, and what it has said."""

    name: str
    child: Child
    address: str
    sizes: list[Size] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.child.running

    def measure(self, process: psutil.Process) -> None:
        """Note its size now; nothing once it has ended."""
        try:
            size = process.memory_info().rss / 2**20
            self.sizes.append(Size(time.monotonic(), size, process.num_fds()))
        except psutil.Error:
            return

    def now(self) -> Size:
        """The last size."""
        return self.sizes[-1]


class Normal:
    """The normal client's process and its results so far."""

    def __init__(self, url: str, gateway: str) -> None:
        self.results: list[Result] = []
        self.stream: dict[str, int] = {}
        self._opened = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.normal", url, gateway],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._opened.wait(_PATIENCE_S):
            raise RuntimeError("the normal client did not begin")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                said: Any = json.loads(line)
                if isinstance(said, dict):
                    self.stream = said
                    self._opened.set()
                else:
                    self.results.append(Result(*said))

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


@dataclass
class Deployment:
    """Everything that runs."""

    edge: Service
    gateway: Service
    normal: Normal
    store: str

    @property
    def services(self) -> tuple[Service, Service]:
        """Both, watched."""
        return self.edge, self.gateway

    @property
    def target(self) -> Target:
        """For attackers."""
        host, _, port = self.edge.address.rpartition(":")
        return Target(
            host,
            int(port),
            int(self.gateway.address.rpartition(":")[2]),
            self.normal.stream["udp"],
            self.normal.stream["ssrc"],
        )


def _start(name: str, *options: str) -> Service:
    child = Child(name, options, echo=False, keep=True, inside=_limited)
    return Service(name, child, child.wait_ready(ready_s=_PATIENCE_S).rpartition("//")[2])


def _redis(stack: ExitStack) -> str:
    """The address of a store: Redis on a socket of its own, or `memory` without redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        return "memory"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    words = [program, "--port", "0", "--unixsocket", str(folder / "redis"), "--save", ""]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder)
    stack.callback(process.wait)
    stack.callback(process.kill)
    end = time.monotonic() + _PATIENCE_S
    while not (folder / "redis").exists():
        if time.monotonic() > end:
            raise RuntimeError("redis-server did not start")
        time.sleep(0.05)
    return f"unix://{folder / 'redis'}"


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Store, gateway, agent and the normal client; all have ended afterwards."""
    with ExitStack() as stack:
        store = _redis(stack)
        gateway = _start("dc", "--port", "0", "--task", "roadsigns")
        stack.callback(gateway.child.kill)
        options = ("--port", "0", "--task", "roadsigns", "--gateway", gateway.address)
        edge = _start("edge", *options, "--store", store)
        stack.callback(edge.child.kill)
        stopped = threading.Event()
        watcher = threading.Thread(target=_watch, args=((edge, gateway), stopped.is_set))
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(stopped.set)
        normal = Normal(f"http://{edge.address}", gateway.address)
        stack.callback(normal.stop)
        yield Deployment(edge, gateway, normal, store.partition(":")[0])


def _watch(services: tuple[Service, ...], stopped: Callable[[], bool]) -> None:
    processes = [psutil.Process(service.child.process.pid) for service in services]
    while not stopped():
        for service, process in zip(services, processes, strict=True):
            service.measure(process)
        time.sleep(_EVERY_S)
