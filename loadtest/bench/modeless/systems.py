"""Start and stop each system as its users would run it, and read what it uses."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from hawkvision.errors import HawkVisionError
from loadtest.baselines.choice import meeting
from loadtest.baselines.ladder import Ladder
from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.experiment import Scenario, budget_mb
from loadtest.link.model import LinkSettings
from loadtest.link.relay import TcpRelay

_READY = re.compile(r"ready on (?:https?://)?(\S+?):(\d+)")
_READY_S = 120.0
_SAMPLE_S = 0.05
LINK_BPS = 20e6


@dataclass(frozen=True)
class Ground:
    """Where things lie and which cores they have: `ladders` and `repositories` by precision.

    `highest` is the highest accuracy that is asked for, `triton` a virtual environment with
    nvidia-pytriton. `chains` says by precision how HawkVision's rungs were chosen.
    """

    ladders: dict[str, Path]
    repositories: dict[str, Path]
    edge_cores: Sequence[int]
    other_cores: Sequence[int]
    highest: float
    triton: Path | None = None
    chains: dict[str, Any] = field(default_factory=dict)

    def inside(self, cores: Sequence[int], line: list[str]) -> list[str]:
        """A command on these cores."""
        return ["taskset", "-c", ",".join(map(str, cores)), *line]


class Program:
    """A process that says `ready on HOST:PORT`; what it says besides is kept for errors."""

    def __init__(self, line: list[str]) -> None:
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: list[str] = []
        self._found = threading.Event()
        self.host, self.port = "", 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines = [*self._lines[-20:], line.strip()]
            if not self._found.is_set() and (found := _READY.search(line)):
                self.host, self.port = found[1], int(found[2])
                self._found.set()
        self._found.set()

    def wait_ready(self) -> None:
        """Raises HawkVisionError with what it said last."""
        self._found.wait(_READY_S)
        if not self.port:
            said = self._lines[-1] if self._lines else "nothing"
            raise HawkVisionError(f"{self.process.args!r} did not start: {said}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Meter:
    """Resident memory and CPU of a process and its children, sampled by a thread."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._peak = 0
        self._open = True
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _family(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def _look(self) -> None:
        while self._open:
            try:
                self._peak = max(self._peak, self.rss())
            except psutil.Error:
                return
            time.sleep(_SAMPLE_S)

    def rss(self) -> int:
        """Bytes now."""
        return sum(int(one.memory_info().rss) for one in self._family())

    def take_peak(self) -> int:
        """The largest number of bytes since the last call."""
        peak, self._peak = max(self._peak, self.rss()), 0
        return peak

    def cpu_s(self) -> float:
        """User and system time since the start."""
        times = [one.cpu_times() for one in self._family()]
        return float(sum(one.user + one.system for one in times))

    def close(self) -> None:
        """No more samples."""
        self._open = False
        self._thread.join()


@dataclass
class Running:
    """A system that answers at `host`:`port`; `cut` darkens its link, which carried `carried()`."""

    host: str
    port: int
    meter: Meter
    carried: Callable[[], int]
    cut: Callable[[bool], None]
    stats: Callable[[], dict[str, Any]]


@contextmanager
def running(system: str, scenario: Scenario, ground: Ground) -> Iterator[Running]:
    """The system in its scenario, ready. Raises HawkVisionError."""
    with ExitStack() as stack:

        def start(cores: Sequence[int], *words: str) -> Program:
            program = Program(ground.inside(cores, [sys.executable, "-m", *words]))
            stack.callback(program.stop)
            program.wait_ready()
            return program

        relay: TcpRelay | None = None
        gateway = ""
        if system in experiment.ACROSS:
            folder = str(ground.repositories[scenario.ladder])
            served = ["--model-repository", folder, "--task", "imagenette", "--port", "0"]
            dc = start(ground.other_cores, "hawkvision.cli", "dc", *served, "--threads", "1")
            link = LinkSettings(LINK_BPS, scenario.link_ms / 2e3)
            relay = stack.enter_context(TcpRelay((dc.host, dc.port), link))
            gateway = f"127.0.0.1:{relay.port}"
        words = _words(system, scenario, ground, gateway)
        edge = start(ground.edge_cores, *words)
        meter = Meter(edge.process.pid)
        stack.callback(meter.close)
        is_ours = system in (experiment.HAWKVISION, experiment.ONE_RUNG)
        yield Running(
            edge.host,
            edge.port,
            meter,
            (lambda: 0) if relay is None else relay.carried,
            (lambda _dark: None) if relay is None else relay.cut,
            dict if is_ours else lambda: _stats(edge),
        )


def _words(system: str, scenario: Scenario, ground: Ground, gateway: str) -> list[str]:
    folder = ground.ladders[scenario.ladder]
    ladder = Ladder.read(folder)
    memory = [one.memory_mb for one in ladder.variants]
    room = budget_mb(memory, scenario.budget)
    if system in (experiment.HAWKVISION, experiment.ONE_RUNG):
        held = ["--rungs", "1"]
        if system == experiment.HAWKVISION:
            held = ["--rungs", "auto", "--memory", f"{room:.0f}MB"]
        served = ["--model-repository", str(ground.repositories[scenario.ladder])]
        return ["hawkvision.cli", "edge", *served, "--task", "imagenette", "--port", "0",
                "--gateway", gateway, "--threads", "1", *held]  # fmt: skip
    base = ["loadtest.baselines"]
    at = ["--ladder", str(folder), "--threads", "1"]
    variants = ladder.variants
    large = meeting(variants, ground.highest)[0]  # the cheapest: they are sorted by cost
    return {
        experiment.SWITCHING: [*base, "switching", *at, "--budget-mb", f"{room:.1f}"],
        experiment.TRITON: [
            *base,
            "triton",
            *at,
            "--budget-mb",
            f"{room:.1f}",
            "--triton",
            str(ground.triton),
        ],
        experiment.RESIDENT: [*base, "resident", *at],
        experiment.SMALL: [*base, "resident", *at, "--only", variants[0].name],
        experiment.LARGE: [*base, "resident", *at, "--only", large.name],
        experiment.ENSEMBLE: [*base, "ensemble", *at, "--only", ",".join(_members(ladder))],
        experiment.REMOTE: [
            *base,
            "remote",
            *at,
            "--gateway",
            gateway,
            "--model-repository",
            str(ground.repositories[scenario.ladder]),
        ],
    }[system]


def _members(ladder: Ladder) -> list[str]:
    """The two best variants: more members cost more and, on these networks, add nothing."""
    return [one.name for one in ladder.variants[-2:]]


def _stats(program: Program) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{program.host}:{program.port}/stats", timeout=30) as reply:
        found: dict[str, Any] = orjson.loads(reply.read())
    return found
