"""The gateway against the bare batched loop: throughput at several numbers of agents, and overload.

Gateway and bare loop run on one half of the cores, by turns, the simulated agents on the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from hawkvision.cli.processes import Child, stop_all
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, shipped_repository
from loadtest.bench.gateway_load import Load
from loadtest.bench.server import bench_image
from loadtest.bench.triton import start_triton, why_absent
from loadtest.peers.tritonserver import Triton

_BARE_BATCHES = (1, 8, 32)
_WARM_UP_S = 1.0
_PATIENT_S = 30.0
_OVERLOAD = 2.0
_KEYS = ("rate", "p50_ms", "p99_ms", "cpu_ms")
_RETRYING = 128
_RETRY_S = 0.02


@dataclass(frozen=True)
class GatewayBench:
    """What to measure: rounds of `seconds` each; the deadline is that of calls under overload."""

    task: str
    rounds: int
    seconds: float
    agents: tuple[int, ...]
    deadline_ms: float
    triton: Path | None = None


class _Machine:
    """The cores that both sides have, and how to run something on them."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if len(cores) < 2 or shutil.which("taskset") is None:
            raise HawkVisionError(
                "bench gateway needs two cores, and taskset",
                hint="Run it on Linux, with util-linux installed.",
            )
        half = len(cores) // 2
        self.server, self.clients = cores[:half], cores[half:]

    def inside(self, cores: list[int], line: list[str]) -> list[str]:
        return ["taskset", "-c", ",".join(map(str, cores)), *line]

    def run(self, cores: list[int], module: str, arguments: list[str]) -> dict[str, Any]:
        line = self.inside(cores, [sys.executable, "-m", module, *arguments])
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HawkVisionError(f"{module} failed: {done.stderr.strip().splitlines()[-1:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _cpu_s(server: int) -> float:
    """Processor time that a server and the processes that it started have used, seconds."""
    root = psutil.Process(server)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def run_gateway_bench(bench: GatewayBench) -> dict[str, Any]:
    """Run it. Raises HawkVisionError where a call failed, or the machine has one core."""
    machine = _Machine()
    version = Repository(shipped_repository()).open(bench.task).version
    threads = len(machine.server)
    options = ["--port", "0", "--task", bench.task, "--threads", str(threads), "--engine"]
    bare: dict[int, list[dict[str, float]]] = {batch: [] for batch in _BARE_BATCHES}
    rows: dict[tuple[bool, int], list[dict[str, Any]]] = {}
    overload: list[dict[str, Any]] = []
    retrying: list[dict[str, Any]] = []
    theirs: dict[int, list[dict[str, Any]]] = {}
    absent = why_absent(bench.triton)
    triton: Triton | None = None
    servers: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.jpg"
        image.write_bytes(bench_image(bench.task))

        def load(to: str, agents: int, seconds: float, limit_s: float, **more: Any) -> Any:
            own = Load(
                to, bench.task, more.pop("version", version), str(image), agents, seconds, limit_s
            )
            said = json.dumps(asdict(own) | more)
            used_s = _cpu_s(servers[to])
            found = machine.run(machine.clients, "loadtest.bench.gateway_load", [said])
            if found["failed"]:
                raise HawkVisionError(f"{found['failed']} calls failed", hint="See its log.")
            used_s = _cpu_s(servers[to]) - used_s
            return {**found, "cpu_ms": used_s / max(1, found["answered"]) * 1e3}

        children = {
            batching: Child(
                "dc",
                [*options, "onnx-cpu", "--batching" if batching else "--no-batching"],
                echo=False,
                inside=lambda line: machine.inside(machine.server, line),
            )
            for batching in (True, False)
        }
        try:
            at = {batching: child.wait_ready() for batching, child in children.items()}
            servers.update({at[key]: child.process.pid for key, child in children.items()})
            if bench.triton is not None and absent is None:
                triton = start_triton(
                    bench.triton,
                    bench.task,
                    threads,
                    Path(folder),
                    lambda line: machine.inside(machine.server, line),
                )
                servers[triton.grpc] = triton.process.pid
                load(triton.grpc, bench.agents[-1], _WARM_UP_S, _PATIENT_S, version="")
            for address in at.values():
                load(address, bench.agents[-1], _WARM_UP_S, _PATIENT_S)
            for _ in range(bench.rounds):
                for batch, rates in bare.items():
                    numbers = [str(batch), str(threads), str(bench.seconds)]
                    arguments = [bench.task, str(image), *numbers]
                    rates.append(
                        machine.run(machine.server, "loadtest.bench.batched_loop", arguments)
                    )
                for agents in bench.agents:
                    for batching, address in at.items():
                        found = load(address, agents, bench.seconds, _PATIENT_S)
                        rows.setdefault((batching, agents), []).append(found)
                    if triton is not None:
                        found = load(triton.grpc, agents, bench.seconds, _PATIENT_S, version="")
                        theirs.setdefault(agents, []).append(found)
                reached = max(median(one["rate"] for one in row) for row in rows.values())
                for batching, address in at.items():
                    limit_s, rate = bench.deadline_ms / 1e3, _OVERLOAD * reached
                    found = load(address, bench.agents[-1], bench.seconds, limit_s, rate=rate)
                    overload.append({"batching": batching, **found})
                    found = load(address, _RETRYING, bench.seconds, limit_s, retry_s=_RETRY_S)
                    retrying.append(
                        {"batching": batching, "goodput_ratio": found["rate"] / reached, **found}
                    )
        finally:
            if triton is not None:
                triton.stop()
            stop_all(list(children.values()))
    found = _summary(bench, bare, rows, overload)
    found["retrying"] = retrying
    found["goodput_retrying"] = min(one["goodput_ratio"] for one in retrying)
    found["triton_absent"] = absent
    found["triton"] = [
        {"agents": agents, **_medians(each, found["bare_cpu_ms"])}
        for agents, each in theirs.items()
    ]
    return found


def _medians(each: list[dict[str, Any]], bare_cpu_ms: dict[str, float]) -> dict[str, float]:
    found = {key: median(one[key] for one in each) for key in _KEYS}
    return {**found, "cpu_ratio": min(bare_cpu_ms.values()) / found["cpu_ms"]}


def _summary(
    bench: GatewayBench,
    bare: dict[int, list[dict[str, float]]],
    rows: dict[tuple[bool, int], list[dict[str, Any]]],
    overload: list[dict[str, Any]],
) -> dict[str, Any]:
    bare_rate, bare_cpu_ms = (
        {str(batch): median(one[key] for one in each) for batch, each in bare.items()}
        for key in ("rate", "cpu_ms")
    )
    best = max(bare_rate.values())
    cells = [
        {
            "batching": batching,
            "agents": agents,
            **_medians(found, bare_cpu_ms),
            "ratio": median(one["rate"] for one in found) / best,
        }
        for (batching, agents), found in sorted(rows.items(), reverse=True)
    ]
    return {
        "task": bench.task,
        "deadline_ms": bench.deadline_ms,
        "bare_rate": bare_rate,
        "bare_cpu_ms": bare_cpu_ms,
        "cells": cells,
        "throughput_ratio": max(cell["ratio"] for cell in cells if cell["batching"]),
        "overload": overload,
        "within_deadline": _in_time(overload, True),
        "within_deadline_unbatched": _in_time(overload, False),
        "refusal_p99_ms": max(one["refusal_p99_ms"] for one in overload),
        "growth_ms": max(one["growth_ms"] for one in overload),
    }


def _in_time(overload: list[dict[str, Any]], batching: bool) -> float:
    """Of the calls that were not refused, the share that was answered by the deadline."""
    found = [one for one in overload if one["batching"] is batching]
    in_time = sum(int(one["answered"]) for one in found)
    late = sum(int(one["late"]) for one in found)
    return in_time / max(1, in_time + late)


def write_plot(result: dict[str, Any], path: Path) -> None:
    """Images a second by agents, and what became of calls under overload, as SVG."""
    from hawkvision.taskbuild.report.plots import BLUE, GREY, ORANGE, new_figure, to_svg_file

    figure, (left, right) = new_figure(8.4, 3.2, 2)
    lines = {
        "batching": (BLUE, [one for one in result["cells"] if one["batching"]]),
        "no batching": (ORANGE, [one for one in result["cells"] if not one["batching"]]),
        "Triton": (GREY, result["triton"]),
    }
    for name, (colour, cells) in lines.items():
        if cells:
            found = sorted((one["agents"], one["rate"]) for one in cells)
            left.plot(*zip(*found, strict=True), "o-", color=colour, label=name, markersize=4)
    left.axhline(max(result["bare_rate"].values()), color="#444444", linestyle=":", linewidth=1)
    left.set(xscale="log", ylim=(0, None), xlabel="agents", ylabel="images a second")
    left.legend(fontsize=8)
    names = ("answered", "late", "refused")
    for place, batching in enumerate((True, False)):
        rounds = [one for one in result["overload"] if one["batching"] is batching]
        counts = [sum(one[name] for one in rounds) for name in names]
        shift = [number + 0.4 * place for number in range(len(names))]
        right.bar(shift, counts, 0.38, color=(BLUE, ORANGE)[place])
    right.set(title="twice the load it can take", ylabel="calls", xticks=[0.2, 1.2, 2.2])
    right.set_xticklabels(names)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_svg_file(figure, "gateway"), "utf-8")
