"""What is attacked: gateway, agent and store as processes, at default settings; their sizes.

Secure, all doors and ways out are under TLS, with keys, certificates of clients and a store's user.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from hawkvision.cli.processes import Child
from tests.attack.access import CLIENTS, Access, Doors
from tests.attack.attack import Target
from tests.attack.record import Result, Size
from tests.certificates import Signed
from tests.processes import free_port
from tests.tracking.store.test_redis_access import PASSWORD, USER, least_rights, tls_options

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
            found = process.memory_info()
            mapped = found.shared / 2**20
            size = Size(time.monotonic(), found.rss / 2**20, process.num_fds(), mapped)
            self.sizes.append(size)
        except psutil.Error:
            return

    def now(self) -> Size:
        """The last size."""
        return self.sizes[-1]


class Normal:
    """The normal client's process and its results so far."""

    def __init__(self, target: Target) -> None:
        self.results: list[Result] = []
        self.stream: dict[str, int] = {}
        self._opened = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.normal", json.dumps(target.as_dict())],
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
    """Everything that runs; with `files` it is secure. `store` is the address of counts.

    `secrets` are what no log may hold, by what they are.
    """

    edge: Service
    gateway: Service
    normal: Normal
    store: str
    doors: Target
    secrets: dict[str, str] = field(default_factory=dict)
    files: Doors | None = None

    @property
    def services(self) -> tuple[Service, Service]:
        """Both, watched."""
        return self.edge, self.gateway

    @property
    def secure(self) -> bool:
        """Whether it is under TLS and asks for keys."""
        return self.doors.access is not None

    @property
    def target(self) -> Target:
        """For attackers."""
        return replace(self.doors, udp=self.normal.stream["udp"], ssrc=self.normal.stream["ssrc"])


def _start(name: str, *options: str) -> Service:
    child = Child(name, options, echo=False, keep=True, inside=_limited)
    return Service(name, child, child.wait_ready(ready_s=_PATIENCE_S).rpartition("//")[2])


def _other_port(service: Service, what: str) -> int:
    """A second port, from the line that says that it is ready. Raises RuntimeError."""
    for line in service.child.said:
        if found := re.search(rf"{what} on port (\d+)", line):
            return int(found[1])
    raise RuntimeError(f"{service.name} does not say its port for {what}")


def _port(service: Service) -> int:
    return int(service.address.rpartition(":")[2])


def _redis(stack: ExitStack) -> str:
    """The address of a store: Redis on a socket of its own, or `memory` without redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        return "memory"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    words = [program, "--port", "0", "--unixsocket", str(folder / "redis"), "--save", ""]
    _run_redis(stack, words, folder, (folder / "redis").exists)
    return f"unix://{folder / 'redis'}"


def _secure_redis(stack: ExitStack, doors: Doors, folder: Path) -> tuple[str, ...]:
    """Options of an agent for a Redis that asks for a certificate, and a user with few rights."""
    program = shutil.which("redis-server")
    if program is None:
        return "--store", "memory"
    port = free_port()
    users = folder / "users.acl"
    users.write_text(f"user default off\n{least_rights()}\n")
    doors.password.write_text(f"{PASSWORD}\n")
    words = [program, "--port", "0", "--tls-port", str(port), "--save", ""]
    words += ["--aclfile", str(users), *tls_options(doors.authority, "yes")]

    def listens() -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", port)) == 0

    _run_redis(stack, words, folder, listens)
    return (
        *("--store", f"rediss://{USER}@127.0.0.1:{port}/0", "--store-ca", str(doors.authority.ca)),
        *("--store-cert", str(doors.edge.certificate), "--store-key", str(doors.edge.key)),
        *("--store-password-file", str(doors.password)),
    )


def _run_redis(stack: ExitStack, words: list[str], folder: Path, ready: Callable[[], bool]) -> None:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder)
    stack.callback(process.wait)
    stack.callback(process.kill)
    end = time.monotonic() + _PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError("redis-server did not start")
        time.sleep(0.05)


def _pems(what: str, signed: Signed) -> tuple[str, ...]:
    return f"--{what}cert", str(signed.certificate), f"--{what}key", str(signed.key)


def _gateway_options(doors: Doors) -> tuple[str, ...]:
    names = (word for name in CLIENTS for word in ("--allow-client", name))
    ca = str(doors.authority.ca)
    return (*_pems("tls-", doors.server), "--tls-client-ca", ca, *names)


def _edge_options(doors: Doors) -> tuple[str, ...]:
    return (
        *_pems("tls-", doors.server),
        *_pems("gateway-", doors.edge),
        *("--gateway-ca", str(doors.authority.ca), "--keys", str(doors.keys)),
        *("--audit-log", str(doors.audit_log)),
    )


@contextmanager
def deployed(*, secure: bool = False, log_level: str = "info") -> Iterator[Deployment]:
    """Store, gateway, agent and the normal client; all have ended afterwards."""
    common = ("--port", "0", "--task", "roadsigns", "--log-level", log_level)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        doors = Doors.make(folder) if secure else None
        store = _secure_redis(stack, doors, folder) if doors else ("--store", _redis(stack))
        inside = _gateway_options(doors) if doors else ()
        gateway = _start("dc", *common, "--http-port", "0", *inside)
        stack.callback(gateway.child.kill)
        outside = _edge_options(doors) if doors else ()
        options = ("--grpc-port", "0", "--gateway", gateway.address)
        edge = _start("edge", *common, *options, *store, *outside)
        stack.callback(edge.child.kill)
        stopped = threading.Event()
        watcher = threading.Thread(target=_watch, args=((edge, gateway), stopped.is_set))
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(stopped.set)
        target = Target(
            "127.0.0.1",
            _port(edge),
            _port(gateway),
            udp=0,
            ssrc=0,
            rest=_other_port(gateway, "REST"),
            edge_grpc=_other_port(edge, "gRPC"),
            access=doors.access if doors else None,
        )
        normal = Normal(target)
        stack.callback(normal.stop)
        secrets = _secrets(doors.access) if doors else {}
        yield Deployment(edge, gateway, normal, store[1], target, secrets, doors)


def _secrets(access: Access) -> dict[str, str]:
    """What no log may hold: the keys of clients, of TLS, and the store's password."""
    found = {name: getattr(access, name) for name in ("key", "busy", "weak", "expired")}
    found["the store's password"] = PASSWORD
    for name in ("normal", "insider"):
        lines = Path(getattr(access, name)[1]).read_text().splitlines()
        found[f"the TLS key of {name}"] = lines[1]
    return found


def _watch(services: tuple[Service, ...], stopped: Callable[[], bool]) -> None:
    processes = [psutil.Process(service.child.process.pid) for service in services]
    while not stopped():
        for service, process in zip(services, processes, strict=True):
            service.measure(process)
        time.sleep(_EVERY_S)
