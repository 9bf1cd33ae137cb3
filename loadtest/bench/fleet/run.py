"""Start the fleet, let it be asked, and compare what the store counted with what was answered."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hawkvision.calibration.intervals import clopper_pearson
from hawkvision.cli.processes import Child, stop_all
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, shipped_repository
from hawkvision.tracking.store.registry import open_store
from hawkvision.tracking.versions import counted
from loadtest.bench.fleet.images import write_images
from loadtest.bench.fleet.redis_use import RedisUse
from loadtest.bench.fleet.soak import Soak
from loadtest.traffic import TrafficImage, TrafficSettings, load_traffic

_READY_S = 300.0
_SETTLE_S = 20.0
_WINDOW_S = 3600.0


@dataclass(frozen=True)
class FleetBench:
    """`agents` in `processes`, each asked `rate` times a second; `store` None starts a Redis."""

    task: str
    agents: int
    processes: int
    gateways: int
    rate: float
    seconds: float
    targets: tuple[float, ...]
    traffic: TrafficSettings
    store: str | None
    seed: int


def run_fleet_bench(bench: FleetBench, say: Callable[[str], None]) -> dict[str, Any]:
    """Run it. Raises HawkVisionError."""
    task = Repository(shipped_repository()).open(bench.task)
    images = [
        TrafficImage(one.data, task.aliases.get(one.label, one.label))
        for one in load_traffic(bench.traffic)
    ]
    with tempfile.TemporaryDirectory() as place, _store(bench.store, Path(place)) as store:
        folder = Path(place) / "images"
        write_images(folder, images)
        name = counted(task.name, task.version)
        before = asyncio.run(_counted(store, name))
        options = ["--port", "0", "--task", bench.task, "--threads", "1"]
        gateways = [Child("dc", options, echo=False) for _ in range(bench.gateways)]
        started: list[subprocess.Popen[str]] = []
        try:
            equals = ",".join(one.wait_ready() for one in gateways)
            started.extend(
                _start(bench, number, equals, store, folder) for number in range(bench.processes)
            )
            say(f"{bench.agents} agents in {bench.processes} processes are starting")
            for process in started:
                _wait_listening(process)
            say(f"all listen; asking for {bench.seconds:g} s")
            for process in started:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            pids = {f"gateway {n}": one.process.pid for n, one in enumerate(gateways, 1)}
            pids |= {f"agents {n}": one.pid for n, one in enumerate(started, 1)}
            soak = Soak(pids)
            use = _Use(bench, store, [one.process.pid for one in gateways])
            _wait(started, bench.seconds)
            used = use.read()
            found = [_result(process, bench.seconds) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
            stop_all(gateways)
        answered: dict[str, Counter[str]] = {}
        for counts in found:
            for target, one in counts.items():
                answered.setdefault(target, Counter()).update(one)
        expected = sum(one["answered"] for one in answered.values())
        in_store = asyncio.run(_settled(store, name, before + expected)) - before
    return {**_summary(bench, answered, expected, in_store), **used, "soak": soak.stop()}


class _Use:
    """What the Redis and the gateways spend while agents are asked; from when it is made."""

    def __init__(self, bench: FleetBench, store: str, gateways: Sequence[int]) -> None:
        self._bench = bench
        self._store = store
        self._gateways = [psutil.Process(pid) for pid in gateways]
        self._cpu_s = self._gateway_cpu_s()
        self._redis = RedisUse.read(store)
        self._began = time.monotonic()

    def _gateway_cpu_s(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self._gateways)

    def read(self) -> dict[str, Any]:
        """Until now: `redis` None where the store is another, gateways' CPU together, 1/s."""
        seconds, drawn = time.monotonic() - self._began, self._bench.traffic
        redis = RedisUse.read(self._store)
        used = None
        if redis is not None and self._redis is not None:
            used = redis.since(self._redis).as_dict(seconds)
        return {
            "task": self._bench.task,
            "targets": list(self._bench.targets),
            "seed": self._bench.seed,
            "images": None if drawn.data else {"images": drawn.images, "seed": drawn.seed},
            "redis": used,
            "gateway_cpu": (self._gateway_cpu_s() - self._cpu_s) / seconds,
        }


def _wait(started: Sequence[subprocess.Popen[str]], seconds: float) -> None:
    """Until the time is over, or a process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and all(one.poll() is None for one in started):
        time.sleep(0.05)


def _start(
    bench: FleetBench, number: int, gateways: str, store: str, images: Path
) -> subprocess.Popen[str]:
    each, more = divmod(bench.agents, bench.processes)
    plan = {
        "task": bench.task,
        "first": number * each + min(number, more),
        "agents": each + (number < more),
        "gateways": [gateways],
        "store": store,
        "images": str(images),
        "targets": bench.targets,
        "rate": bench.rate,
        "seconds": bench.seconds,
        "seed": bench.seed,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.bench.fleet.agents"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan) + "\n")
    process.stdin.flush()
    return process


def _wait_listening(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline().strip() != "listening":
        raise HawkVisionError("a process of the fleet ended at start", hint="See above.")


def _result(process: subprocess.Popen[str], seconds: float) -> dict[str, dict[str, int]]:
    output, _ = process.communicate(timeout=seconds + _READY_S)
    if process.returncode != 0:
        raise HawkVisionError("a process of the fleet ended early", hint="See above.")
    found: dict[str, dict[str, int]] = json.loads(output)
    return found


@contextmanager
def _store(url: str | None, folder: Path) -> Iterator[str]:
    """The store that was named, or a Redis of the run's own. Raises HawkVisionError."""
    if url is not None:
        yield url
        return
    program = shutil.which("redis-server")
    if program is None:
        raise HawkVisionError("redis-server is not installed", hint="Give --store redis://….")
    path = folder / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    end = time.monotonic() + _READY_S
    try:
        while not path.exists():
            if server.poll() is not None or time.monotonic() > end:
                raise HawkVisionError("redis-server did not start", hint="Run it by hand.")
            time.sleep(0.05)
        yield f"unix://{path}"
    finally:
        server.terminate()
        server.wait()


async def _counted(url: str, task: str) -> int:
    """Requests of a task that the store has counted in the last hour."""
    store = open_store(url)
    try:
        found = await store.counts(task, window_s=_WINDOW_S)
        return round(
            sum(
                value
                for sums in found.values()
                for name, value in sums.items()
                if name.startswith("answers/")
            )
        )
    finally:
        await store.close()


async def _settled(url: str, task: str, expected: int) -> int:
    """As `_counted`, once it has what was expected, or after a while."""
    end = time.monotonic() + _SETTLE_S
    while True:
        found = await _counted(url, task)
        if found >= expected or time.monotonic() > end:
            return found
        await asyncio.sleep(0.2)


def _summary(
    bench: FleetBench, answered: dict[str, Counter[str]], expected: int, in_store: int
) -> dict[str, Any]:
    rows = []
    for target, counts in sorted(answered.items()):
        n = counts["answered"]
        low, high = clopper_pearson(counts["right"], n)
        rows.append(
            {
                "target": float(target),
                "n": n,
                "achieved": counts["right"] / n if n else 0.0,
                "ci_low": low,
                "ci_high": high,
                "escalation_rate": counts["escalated"] / n if n else 0.0,
                "degraded_rate": counts["degraded"] / n if n else 0.0,
                "failed": sum(v for name, v in counts.items() if name.startswith("failed")),
            }
        )
    return {
        "results": rows,
        "agents": bench.agents,
        "processes": bench.processes,
        "gateways": bench.gateways,
        "seconds": bench.seconds,
        "rate": bench.rate,
        "answered": expected,
        "counted": in_store,
        "failed": sum(row["failed"] for row in rows),
    }
