"""Other servers and ours, one after the other, each between bare loops: what a request costs.

Only one of them runs at a time; each starts anew in every round.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from hawkvision import __version__
from hawkvision.cli.processes import Child, stop_all
from hawkvision.errors import HawkVisionError
from loadtest.bench.workers import WORKERS, bare_together
from loadtest.peers import triton
from loadtest.peers.installed import HINT, PEERS, ROOT, TRITON, Environment, Peer, look
from loadtest.peers.ports import free_ports
from loadtest.peers.process import Family, ServerProcess
from loadtest.peers.tritonserver import find

CONNECTIONS = (1, 8, 32)
_READY_S = 90.0
_SETTLE_S = 2.0
"""A server that answers may still start workers, and close connections for it."""
_WARM_UP_S = 0.5
_KEYS = ("cpu_ms", "cpu_ratio", "rate", "throughput_ratio", "p50_ms", "p99_ms")
OURS = ("HawkVision", f"HawkVision, {WORKERS} workers")

Load = Callable[[Sequence[str], float, Sequence[str]], dict[str, Any]]
Bare = Callable[[float], dict[str, Any]]
Progress = Callable[[str], None]
Start = Callable[[Path], AbstractContextManager["Running"]]


@dataclass(frozen=True)
class PeersBench:
    """What to ask whom: `rounds` of `seconds` at each of CONNECTIONS; `python` has the peers.

    `local` is the path that our own agent answers, `options` how it is started.
    """

    python: Path
    task: str
    image: bytes
    local: str
    options: Sequence[str]
    rounds: int
    seconds: float
    folder: Path


@dataclass(frozen=True)
class Running:
    """A server that answers: its processes, and how the load generator asks it."""

    family: Family
    port: int
    path: str
    body: Path
    more: tuple[str, ...] = ()


@dataclass
class _System:
    title: str
    version: str
    start: Start
    rounds: dict[int, list[dict[str, float]]] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)


def run_peers(bench: PeersBench, load: Load, bare: Bare, say: Progress) -> dict[str, Any]:
    """`rows`, `absent` (name and why), and the bare loops. Raises HawkVisionError."""
    body, _ = triton.request(bench.image)
    (bench.folder / "image.triton").write_bytes(body)
    systems, absent = _systems(bench)
    pairs: list[dict[str, float]] = []
    label = str(bare(_WARM_UP_S)["label"])
    for number in range(bench.rounds):
        shift = number % len(systems)
        for system in systems[shift:] + systems[:shift]:
            say(f"round {number + 1} of {bench.rounds}: {system.title}")
            pair = bare_together(bare, bench.seconds)
            try:
                _visit(bench, system, load, pair, label, bench.folder / f"{number}-{len(pairs)}")
            except HawkVisionError as error:
                if system.title in OURS:
                    raise
                absent.append({"name": system.title, "why": str(error)})
            pairs.append(pair)
        gone = {one["name"] for one in absent}
        systems = [system for system in systems if system.title not in gone]
    return {
        "rate_bare": median(one["rate"] for one in pairs),
        "rate_bare_rounds": [one["rate"] for one in pairs],
        "cpu_ms_bare": median(one["cpu_ms"] for one in pairs),
        "rows": [row for system in systems for row in _rows(system)],
        "absent": absent,
    }


def _systems(bench: PeersBench) -> tuple[list[_System], list[dict[str, str]]]:
    """Those that can be started, and why others cannot."""
    image = bench.folder / "image.jpg"

    def ours(*more: str) -> Start:
        return lambda _folder: _ours([*bench.options, *more], bench.local, image)

    systems = [
        _System(OURS[0], __version__, ours()),
        _System(OURS[1], __version__, ours("--workers", str(WORKERS))),
    ]
    try:
        there = look(bench.python)
    except HawkVisionError as error:
        why = f"{error}; {HINT}"
        return systems, [{"name": name, "why": why} for name in (*_titles(), TRITON)]
    absent = []
    for peer in PEERS:
        version = there.versions.get(peer.distribution)
        if version is None:
            why = f"{peer.distribution} is not installed for {bench.python}; {HINT}"
            absent.append({"name": peer.title, "why": why})
        else:
            systems.append(_System(peer.title, version, _starter(bench, there, peer)))
    try:
        found = find(there.triton)
    except HawkVisionError as error:
        absent.append({"name": TRITON, "why": f"{error}; {HINT}"})
    else:
        systems.append(_System(TRITON, found.wheel, _triton(bench, there)))
    return systems, absent


def _titles() -> list[str]:
    return [peer.title for peer in PEERS]


@contextmanager
def _ours(options: Sequence[str], path: str, image: Path) -> Iterator[Running]:
    child = Child("edge", options, echo=False)
    try:
        port = int(child.wait_ready().rsplit(":", 1)[1])
        yield Running(Family(child.process.pid), port, path, image)
    finally:
        stop_all([child])


def _starter(bench: PeersBench, there: Environment, peer: Peer) -> Start:
    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        [port] = free_ports(1)
        line = [str(there.python), "-m", peer.module, bench.task, str(port), *peer.options]
        # Names of sockets may be a hundred characters long, so their folder's is short.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
            more = {"PYTHONPATH": str(ROOT), "TMPDIR": own}
            server = ServerProcess(line, folder / "log", more)
            running = Running(server.family, port, peer.path, bench.folder / "image.jpg")
            try:
                _wait(running, lambda: server.running, server.last_words)
                yield running
            finally:
                server.stop()

    return start


def _triton(bench: PeersBench, there: Environment) -> Start:
    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        server = triton.start(find(there.triton), bench.task, folder, there.paths)
        try:
            server.wait_ready()
            _, header = triton.request(bench.image)
            port = int(server.http.rsplit(":", 1)[1])
            family, body = Family(server.process.pid), bench.folder / "image.triton"
            yield Running(family, port, triton.path(bench.task), body, (header,))
        finally:
            server.stop()

    return start


def _wait(running: Running, lives: Callable[[], bool], last_words: Callable[[], str]) -> None:
    """Until it answers the image. Raises HawkVisionError with what it said last."""
    end = time.monotonic() + _READY_S
    body = running.body.read_bytes()
    while time.monotonic() < end and lives():
        asking = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
        try:
            asking.request("POST", running.path, body, {"Content-Type": "image/jpeg"})
            if asking.getresponse().status == 200:
                break
        except (OSError, http.client.HTTPException):
            pass
        finally:
            asking.close()
        time.sleep(0.1)
    else:
        raise HawkVisionError(f"it does not start: {last_words()}")
    time.sleep(_SETTLE_S)


def _visit(
    bench: PeersBench,
    system: _System,
    load: Load,
    pair: dict[str, float],
    label: str,
    folder: Path,
) -> None:
    """Start a system, load it, and stop it. Raises HawkVisionError."""
    folder.mkdir()
    with system.start(folder) as running:
        more = () if system.title in OURS else (label, *running.more)

        def at(count: int, seconds: float) -> dict[str, float]:
            to = ["127.0.0.1", str(running.port), running.path, str(running.body), str(count)]
            running.family.mark()
            found = load(to, seconds, more)
            cpu_ms = running.family.cpu_s() / found["count"] * 1e3
            return {
                "cpu_ms": cpu_ms,
                "cpu_ratio": cpu_ms / pair["cpu_ms"],
                "rate": found["rate"],
                "throughput_ratio": found["rate"] / pair["rate"],
                "p50_ms": found["latency_ms"]["p50"],
                "p99_ms": found["latency_ms"]["p99"],
            }

        for count in CONNECTIONS:
            at(count, _WARM_UP_S)
        for count in CONNECTIONS:
            system.rounds.setdefault(count, []).append(at(count, bench.seconds))
        system.memory_mb.append(running.family.memory_mb())


def _rows(system: _System) -> list[dict[str, Any]]:
    """One for each number of connections: medians over the rounds."""
    return [
        {
            "name": system.title,
            "version": system.version,
            "connections": count,
            **{key: median(one[key] for one in rounds) for key in _KEYS},
            "rss_mb": median(system.memory_mb),
        }
        for count, rounds in system.rounds.items()
    ]
