"""CPU per locally answered request: the whole agent against the bare loop, interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import simplejpeg

from hawkvision import roadsigns
from hawkvision.cli.processes import Child, stop_all
from hawkvision.datasets import open_labelled
from hawkvision.errors import HawkVisionError
from hawkvision.power import EnergyProbe, per_image
from loadtest.bench.live import LiveProbe
from loadtest.bench.peers import PeersBench, run_peers
from loadtest.bench.workers import run_workers

_DEAD_GATEWAY = "127.0.0.1:1"
_WARM_UP_S = 0.5


@dataclass(frozen=True)
class ServerBench:
    """What to measure: rounds of `seconds` each, at each number of connections.

    `peers` is a Python with other servers, to run beside ours.
    """

    task: str
    rounds: int
    seconds: float
    connections: tuple[int, ...]
    peers: Path | None = None


def bench_image(task: str) -> bytes:
    """A photo of about 10 kB: from HAWKVISION_DATA where it is, else a drawn one at 224 px."""
    folder = os.environ.get("HAWKVISION_DATA")
    archive = Path(folder or "") / "imagenette.tar.gz"
    if folder and task == "imagenette" and archive.exists():
        photos = open_labelled(archive, "val")
        return next(image.data for image in photos if 9_500 < len(image.data) < 10_500)
    drawn = roadsigns.render(7, seed=3, size=224)
    return bytes(simplejpeg.encode_jpeg(drawn, quality=90, colorspace="RGB"))


def local_path(task: str) -> str:
    """A request that the edge always answers: no threshold is needed for so low a target."""
    return f"/v1/classify?accuracy=0.05&task={task}"


def run_server_bench(
    bench: ServerBench, say: Callable[[str], None] = lambda _text: None
) -> dict[str, Any]:
    """Run it. Raises HawkVisionError where an answer did not come from the edge."""
    path = local_path(bench.task)
    bare: list[float] = []
    agent: dict[int, list[dict[str, float]]] = {count: [] for count in bench.connections}
    untracked: list[float] = []
    probe, answered = EnergyProbe(), 0
    # On a machine that does other work besides, an answer may take seconds: late is no fault here.
    options = ["--port", "0", "--gateway", _DEAD_GATEWAY, "--task", bench.task]
    options += ["--deadline-ms", "60000"]
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.jpg"
        image.write_bytes(bench_image(bench.task))
        size = image.stat().st_size
        child = Child("edge", options, echo=False)
        plain = Child("edge", [*options, "--store", "off"], echo=False)
        try:
            host, port = child.wait_ready().removeprefix("http://").split(":")
            process = psutil.Process(child.process.pid)
            other_port = plain.wait_ready().rsplit(":", 1)[1]
            other = psutil.Process(plain.process.pid)
            for count in bench.connections:
                for to in (port, other_port):
                    _load([host, to, path, str(image), str(count)], _WARM_UP_S)
            for _ in range(bench.rounds):
                bare.append(_bare_cpu_ms(bench.task, image, bench.seconds))
                for count in bench.connections:
                    before = _cpu_s(process)
                    with probe:
                        result = _load([host, port, path, str(image), str(count)], bench.seconds)
                    answered += int(result["count"])
                    cpu_ms = (_cpu_s(process) - before) / result["count"] * 1e3
                    agent[count].append({"cpu_ms": cpu_ms, **_flat(result)})
                before = _cpu_s(other)
                most = str(bench.connections[-1])
                result = _load([host, other_port, path, str(image), most], bench.seconds)
                untracked.append((_cpu_s(other) - before) / result["count"] * 1e3)
            with LiveProbe(host, int(port)) as live:
                _load([host, port, path, str(image), most], bench.rounds * bench.seconds)
            rss_mb = process.memory_info().rss / 2**20
        finally:
            stop_all([child, plain])
            probe.close()
        workers = run_workers(
            options,
            (path, image),
            bench.connections,
            bench.rounds,
            bench.seconds,
            (_load, lambda seconds: _bare(bench.task, image, seconds)),
        )
        beside = _beside(bench, image, options, say)
    found = _summary(bench, bare, agent, untracked, rss_mb, size)
    found["live_p99_ms"] = live.p99_ms
    return {**found, "energy": per_image(probe.found, answered), **workers, **beside}


def _beside(
    bench: ServerBench, image: Path, options: list[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """What peers say, under `peers`; nothing where none are asked for."""
    if bench.peers is None:
        return {}
    peers = PeersBench(
        bench.peers,
        bench.task,
        image.read_bytes(),
        local_path(bench.task),
        options,
        bench.rounds,
        bench.seconds,
        image.parent,
    )
    return {
        "peers": run_peers(peers, _load, lambda seconds: _bare(bench.task, image, seconds), say)
    }


def _summary(
    bench: ServerBench,
    bare: list[float],
    agent: dict[int, list[dict[str, float]]],
    untracked: list[float],
    rss_mb: float,
    size: int,
) -> dict[str, Any]:
    cpu_ms_bare = median(bare)
    rows = [
        {
            "connections": count,
            **{key: median(one[key] for one in rounds) for key in rounds[0]},
            "cpu_ratio": median(one["cpu_ms"] for one in rounds) / cpu_ms_bare,
            "cpu_ms_rounds": [one["cpu_ms"] for one in rounds],
        }
        for count, rounds in agent.items()
    ]
    last = next((row for row in rows if row["connections"] == 8), rows[-1])
    tracked = median(one["cpu_ms"] for one in agent[bench.connections[-1]])
    return {
        "task": bench.task,
        "image_bytes": size,
        "cpu_ms_bare": cpu_ms_bare,
        "cpu_ms_bare_rounds": bare,
        "cpu_ms_agent": last["cpu_ms"],
        "cpu_ratio": last["cpu_ratio"],
        "cpu_ratio_1": next((row["cpu_ratio"] for row in rows if row["connections"] == 1), None),
        "cpu_ms_untracked": median(untracked),
        "tracking_ratio": tracked / median(untracked),
        "rss_mb": rss_mb,
        "agent": rows,
    }


def _flat(result: dict[str, Any]) -> dict[str, float]:
    latency = result["latency_ms"]
    return {"rate": result["rate"], "p50_ms": latency["p50"], "p99_ms": latency["p99"]}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _bare(task: str, image: Path, seconds: float) -> dict[str, Any]:
    return _run("loadtest.bench.bare_loop", [task, str(image), str(seconds)])


def _bare_cpu_ms(task: str, image: Path, seconds: float) -> float:
    result = _bare(task, image, seconds)
    return float(result["cpu_s"] / result["count"] * 1e3)


def _load(arguments: Sequence[str], seconds: float, more: Sequence[str] = ()) -> dict[str, Any]:
    """`more` are a mark of good answers and headers, for servers that are not ours."""
    result = _run("loadtest.bench.closed_loop", [*arguments, str(seconds), *more])
    if result["other"]:
        why = "do not name the label" if more else "did not come from the edge"
        raise HawkVisionError(
            f"{result['other']} of {result['count']} answers {why}",
            hint="The benchmark measures local answers only.",
        )
    return result


def _run(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HawkVisionError(f"{module} failed: {done.stderr.strip().splitlines()[-1:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
