"""Engines side by side on one task's rungs: each in its own process, their runs interleaved."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hawkvision.engines import available_engines
from hawkvision.errors import EngineError, InvalidRequest
from hawkvision.power import EnergyProbe, PowerSampler, per_image
from hawkvision.repository import Repository
from loadtest.bench import trtexec

NOT_ASKED = ("fpga-sim", "onnx")
"""A simulator, and a choice among the other engines; both can be named."""
_BY_ITSELF = {"measured": False, "reason": "trtexec counts its own pauses"}


@dataclass(frozen=True)
class EnginesBench:
    """What to measure; no engines or rungs: all."""

    repository: Path
    task: str
    engines: tuple[str, ...] = ()
    rungs: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 8, 32)
    rounds: int = 3
    seconds: float = 0.5
    threads: int = 1


class _Process:
    """An engine's process."""

    def __init__(self, bench: EnginesBench, engine: str, rungs: Sequence[str]) -> None:
        arguments = (engine, str(bench.threads), str(bench.repository), bench.task, *rungs)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.bench.engine_loop", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.engine = engine
        self.rungs = {}
        for name in rungs:
            said = self._read()
            self.rungs[name] = {"rung": name, **said}

    def timed(self, rung: str, batch: int, seconds: float) -> dict[str, Any]:
        """Milliseconds of every call, or `error`."""
        assert self._process.stdin is not None
        try:
            wanted = {"rung": rung, "batch": batch, "seconds": seconds}
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
        except OSError:
            return {"error": "its process ended"}
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return {"error": f"its process ended ({self._process.wait()})"}
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def run_engines_bench(bench: EnginesBench, done: Callable[[str], None]) -> dict[str, Any]:
    """`rows` of what was measured, and `absent`: who could not, and why.

    `done` is told of every engine that is open and every round. Raises InvalidRequest or
    RepositoryError.
    """
    task = Repository(bench.repository).open(bench.task)
    rungs = bench.rungs or tuple(rung.name for rung in task.rungs if rung.present)
    for name in rungs:
        task.rung(name)
    known = available_engines()
    if unknown := sorted(set(bench.engines) - set(known)):
        raise InvalidRequest(f"no engine named {unknown[0]!r}", hint=f"There are {known}.")
    wanted = bench.engines or tuple(name for name in known if name not in NOT_ASKED)
    processes: list[_Process] = []
    times: dict[tuple[str, str, int], list[float]] = {}
    failed: dict[tuple[str, str], str] = {}
    sampler = PowerSampler.of_machine()
    energy: dict[tuple[str, str, int], EnergyProbe] = {}
    try:
        for engine in wanted:
            processes.append(_Process(bench, engine, rungs))
            refused = {r: one["error"] for r, one in processes[-1].rungs.items() if "error" in one}
            failed |= {(engine, rung): why for rung, why in refused.items()}
            done(f"{engine} {'does not run here' if len(refused) == len(rungs) else 'is open'}")
        for number in range(bench.rounds):
            for rung in rungs:
                for batch in bench.batches:
                    for process in processes:
                        if (process.engine, rung) in failed:
                            continue
                        key = (process.engine, rung, batch)
                        with energy.setdefault(key, EnergyProbe(sampler)):
                            found = process.timed(rung, batch, bench.seconds)
                        if "error" in found:
                            failed[process.engine, rung] = found["error"]
                        else:
                            times.setdefault(key, []).extend(found["ms"])
            done(f"round {number + 1} of {bench.rounds}")
    finally:
        for process in processes:
            process.close()
        sampler.close()
    described = {
        (process.engine, rung): said
        for process in processes
        for rung, said in process.rungs.items()
    }
    rows = [
        _row(
            described[engine, rung],
            engine,
            batch,
            _figures(batch, ms),
            per_image(energy[engine, rung, batch].found, batch * len(ms)),
        )
        for (engine, rung, batch), ms in times.items()
        if (engine, rung) not in failed
    ]
    absent = [
        {"engine": engine, "rung": rung, "why": why} for (engine, rung), why in failed.items()
    ]
    if trtexec.found() is not None:
        for rung in rungs:
            done(f"trtexec, {rung}")
            _add_trtexec(bench, task.rung(rung).model, rung, rows, absent)
    order = {name: number for number, name in enumerate(rungs)}
    rows.sort(key=lambda row: (order[row["rung"]], row["batch"], row["p50_ms"]))
    return {"task": bench.task, "threads": bench.threads, "rows": rows, "absent": absent}


def _row(
    said: dict[str, Any],
    engine: str,
    batch: int,
    figures: dict[str, Any],
    energy: dict[str, Any],
) -> dict[str, Any]:
    """One line of the table; `agrees`: its answers are those that were certified."""
    return {
        "engine": engine,
        **{key: said[key] for key in ("rung", "device", "precision", "platform", "version")},
        "reason": said["reason"],
        "agrees": said["agreement"]["agree"],
        "deviation": said["agreement"]["deviation"],
        "batch": batch,
        **figures,
        "joules_per_image": energy.get("joules_per_image"),
        "joules": "measured" if energy["measured"] else f"not measured: {energy['reason']}",
    }


def _figures(batch: int, ms: Sequence[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(ms, [50, 99])
    return {
        "calls": len(ms),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "images_per_s": batch * len(ms) / sum(ms) * 1e3,
    }


def _add_trtexec(
    bench: EnginesBench, model: Any, rung: str, rows: list[Any], absent: list[Any]
) -> None:
    for batch in bench.batches:
        try:
            found = trtexec.measure(model.path, batch, bench.rounds * bench.seconds)
        except EngineError as error:
            absent.append({"engine": "trtexec", "rung": rung, "why": error.message})
            return
        said = {
            "rung": rung,
            "device": "tensorrt",
            "precision": model.precision,
            "platform": "tensorrt_plan",
            "version": "",
            "reason": "NVIDIA's own benchmark: no Python, and copies overlap",
            "agreement": {"agree": None, "deviation": None},
        }
        rows.append(_row(said, "trtexec", batch, found, _BY_ITSELF))
