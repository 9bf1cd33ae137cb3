"""Run the blocks one after another, keep each as it ends, and go on where a run was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hawkvision.datasets import open_labelled
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, shipped_repository
from loadtest.baselines.ladder import Ladder
from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.analysis import gave_up, measured, rows
from loadtest.bench.modeless.asking import Asking
from loadtest.bench.modeless.cells import cells, verdicts
from loadtest.bench.modeless.experiment import (
    DEADLINE_MS,
    Block,
    Profile,
    Scenario,
    budget_mb,
    weights,
)
from loadtest.bench.modeless.systems import Ground, Running, running
from loadtest.peers.tritonserver import find
from models.recipes.held_out import thirds

TASK = "imagenette"
TARGETS = (0.80, 0.85, 0.90)
_REQUEST_MS = 0.5
"""What a request costs besides the network, roughly: only rates are chosen by it."""
_PHOTOS = 600
_CONNECTIONS = 400
_START_S = 3.5
_SETTLE_S = 0.3
_RANKED = 5
"""So many chains stay in what is kept."""


@dataclass(frozen=True)
class ModelessBench:
    """`folder` keeps the ladders, the photos and what was measured.

    `triton` is a virtual environment that may have nvidia-pytriton.
    """

    quick: bool
    fp32: bool
    data: Path
    folder: Path
    seed: int
    triton: Path
    systems: tuple[str, ...] = experiment.SYSTEMS


def run_modeless_bench(bench: ModelessBench, say: Callable[[str], None]) -> dict[str, Any]:
    """Run it, or what is left of it. Raises HawkVisionError."""
    ground = prepare(bench, say)
    profile = experiment.profile(bench.quick, bench.fp32)
    capacity = {
        name: 1e3 / (Ladder.read(folder).variants[0].milliseconds + _REQUEST_MS)
        for name, folder in ground.ladders.items()
    }
    absent = _absent(bench)
    for name, why in absent.items():
        say(f"{name} not measured: {why}")
    left_out = {*absent, *(name for name in experiment.SYSTEMS if name not in bench.systems)}
    todo = experiment.blocks(profile, capacity, bench.seed, left_out)
    kept = _Kept(_kept_at(bench), _fingerprint(ground))
    left = [block for block in todo if block.key not in kept.done]
    total_s = experiment.planned_seconds(left, _START_S)
    say(f"{len(left)} of {len(todo)} blocks to do, about {total_s / 60:.0f} minutes")
    begun = time.monotonic()
    for number, block in enumerate(left, 1):
        share = experiment.planned_seconds(left[:number], _START_S) / total_s
        kept.add(block, _measure_block(block, ground, bench))
        spent_s = time.monotonic() - begun
        rest_s = spent_s / share - spent_s
        say(
            f"[{number}/{len(left)}] {block.system}, {block.scenario.short}; "
            f"{rest_s / 60:.0f} min to go"
        )
    records = [record for block in todo for record in kept.done[block.key]]
    return {**_summary(bench, profile, ground, records), "absent": absent}


def forget(bench: ModelessBench) -> None:
    """Leave nothing to go on with: the run has ended, and the next one measures anew."""
    _kept_at(bench).unlink(missing_ok=True)


def _kept_at(bench: ModelessBench) -> Path:
    return bench.folder / f"modeless.{'quick' if bench.quick else 'full'}.jsonl"


def _absent(bench: ModelessBench) -> dict[str, str]:
    """Systems that cannot run here, and why."""
    if experiment.TRITON not in bench.systems:
        return {}
    try:
        find(bench.triton)
    except HawkVisionError as error:
        return {experiment.TRITON: f"{error}; {error.hint}".rstrip("; ")}
    return {}


def _measure_block(block: Block, ground: Ground, bench: ModelessBench) -> list[dict[str, Any]]:
    with running(block.system, block.scenario, ground) as system, Asking(ground) as client:
        system.meter.take_peak()
        records: list[dict[str, Any]] = []
        for rate, seconds in zip(block.rates, block.seconds, strict=True):
            records.append(_measure(block, rate, seconds, system, client, bench))
            if gave_up(records[-1]):
                break
        return records


def _measure(
    block: Block,
    rate: float,
    seconds: float,
    system: Running,
    client: Asking,
    bench: ModelessBench,
) -> dict[str, Any]:
    before = system.stats()
    cpu_s, carried = system.meter.cpu_s(), system.carried()
    plan = {
        "host": system.host,
        "port": system.port,
        "path": f"/v1/classify?task={TASK}",
        "images": str(bench.folder / "photos"),
        "connections": _CONNECTIONS,
        "rate": rate,
        "seconds": seconds,
        "deadline_ms": DEADLINE_MS,
        "targets": weights(block.scenario.mix, TARGETS),
        "seed": block.seed,
    }
    dark = _Dark(block.scenario.dark_s, seconds, system)
    try:
        columns = client.ask(plan)
    except HawkVisionError as error:
        raise HawkVisionError(f"{block.system} ({block.scenario.name}): {error.message}") from error
    finally:
        dark.end()
    after = system.stats()
    time.sleep(_SETTLE_S)
    return {
        "system": block.system,
        "scenario": asdict(block.scenario),
        "repetition": block.repetition,
        "rate": rate,
        **measured(columns, DEADLINE_MS, seconds),
        "rss_mb": system.meter.take_peak() / 1e6,
        "cpu_s": system.meter.cpu_s() - cpu_s,
        "link_bytes": system.carried() - carried,
        **{key: after.get(key, 0) - before.get(key, 0) for key in ("loads", "evictions", "load_s")},
    }


class _Dark:
    """Darkens a link for a while in the middle of a measurement."""

    def __init__(self, dark_s: float, seconds: float, system: Running) -> None:
        self._system = system
        self._timers = []
        if dark_s:
            start = max(0.0, seconds - dark_s) / 2 + 0.5
            for after, dark in ((start, True), (start + dark_s, False)):
                self._timers.append(threading.Timer(after, system.cut, (dark,)))
        for timer in self._timers:
            timer.start()

    def end(self) -> None:
        """Light again, whatever came of it."""
        for timer in self._timers:
            timer.cancel()
        self._system.cut(False)


class _Kept:
    """What was measured, a line for each block; a line that is not whole is measured again."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self.done: dict[str, list[dict[str, Any]]] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        if not lines or lines[0] != fingerprint:
            path.write_text(fingerprint + "\n")
            lines = []
        for line in lines[1:]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            self.done[entry["block"]] = entry["records"]

    def add(self, block: Block, records: list[dict[str, Any]]) -> None:
        """Keep a block."""
        self.done[block.key] = records
        with self._path.open("a") as file:
            file.write(json.dumps({"block": block.key, "records": records}) + "\n")


def _fingerprint(ground: Ground) -> str:
    """Changes with the networks and chains: what was measured of others is measured again."""
    digest = hashlib.sha256()
    for folder in ground.ladders.values():
        for path in sorted(folder.glob("*.onnx")):
            digest.update(path.read_bytes())
    chosen = {name: chain["chosen"] for name, chain in ground.chains.items()}
    return json.dumps({"ladders": digest.hexdigest()[:16], "chains": chosen})


def prepare(bench: ModelessBench, say: Callable[[str], None]) -> Ground:
    """Cores, ladders, photos, and a task of each ladder. Raises HawkVisionError."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or shutil.which("taskset") is None:
        raise HawkVisionError(
            "bench modeless needs two cores, and taskset",
            hint="Run it on Linux, with util-linux installed.",
        )
    bench.folder.mkdir(parents=True, exist_ok=True)
    calibrating, reporting = thirds(open_labelled(bench.data, "val"))
    _write_photos(bench.folder / "photos", reporting)
    precisions = ["int8", "fp32"] if bench.fp32 else ["int8"]
    ladders, repositories, chains = {}, {}, {}
    for precision in precisions:
        ladders[precision] = folder = bench.folder / f"ladder-{precision}"
        if not (folder / "ladder.json").exists():
            say(f"writing the {precision} ladder")
            _python("models.recipes.ladder", "--out", str(folder), "--precision", precision)
        repositories[precision] = bench.folder / f"repository-{precision}"
        told = bench.folder / f"chains-{precision}.json"
        if not told.exists():
            say(f"choosing HawkVision's rungs from the {precision} ladder")
            told.write_text(_calibrate(bench.folder, folder, repositories[precision], calibrating))
        chains[precision] = json.loads(told.read_text())
        say(f"{precision}: {' > '.join(chains[precision]['chosen'])}")
    return Ground(ladders, repositories, cores[:1], cores[1:2], max(TARGETS), bench.triton, chains)


def _write_photos(folder: Path, photos: Any) -> None:
    if (folder / "labels.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    labels = []
    aliases = Repository(shipped_repository()).open(TASK).aliases
    for number, photo in enumerate(photos):
        if number == _PHOTOS:
            break
        name = f"{number:04d}.jpg"
        (folder / name).write_bytes(photo.data)
        labels.append([name, aliases.get(photo.label, photo.label)])
    (folder / "labels.json").write_text(json.dumps(labels))


def _calibrate(folder: Path, ladder: Path, out: Path, photos: Any) -> str:
    """A task of rungs that `calibrate` chooses out of a ladder, and what it says of the choice.

    Over the photos that calibrated the shipped task; memory and link as in most scenarios.
    """
    task = Repository(shipped_repository()).open(TASK)
    data = folder / "calibrating"
    for number, photo in enumerate(photos):
        place = data / "val" / task.aliases.get(photo.label, photo.label).replace(" ", "_")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.jpg").write_bytes(photo.data)
    labels = folder / "labels.txt"
    labels.write_text("\n".join(task.labels) + "\n")
    aliases = folder / "aliases.json"
    aliases.write_text(json.dumps({name.replace(" ", "_"): name for name in task.labels}))
    variants = json.loads((ladder / "ladder.json").read_text())["variants"]
    usual = Scenario()
    room = budget_mb([one["memory_mb"] for one in variants], usual.budget)
    words = ["calibrate", "--name", TASK, "--data", str(data), "--split", "val"]
    words += ["--aliases", str(aliases), "--out", str(out), "--loss-levels", "0"]
    words += ["--targets", ",".join(map(str, TARGETS)), "--deadline-ms", str(DEADLINE_MS)]
    words += ["--memory", f"{room:.0f}MB", "--link-ms", str(usual.link_ms)]
    for one in variants:
        name = one["name"].replace("-", "_")
        words += ["--candidate", f"{ladder / one['file']},labels={labels},fit=cover,name={name}"]
    figures = folder / "calibrated.json"
    _python("hawkvision.cli", *words, "--json", str(figures))
    shutil.rmtree(data)
    return json.dumps(json.loads(figures.read_text())["chains"])


def _python(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        check=False,
        # The ladder's accuracies are those recorded: measuring them anew takes minutes.
        env={name: value for name, value in os.environ.items() if name != "HAWKVISION_DATA"},
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise HawkVisionError(f"{' '.join(words[:2])} failed: {said}")


def _summary(
    bench: ModelessBench, profile: Profile, ground: Ground, records: list[dict[str, Any]]
) -> dict[str, Any]:
    made = rows(records)
    return {
        "systems": made,
        "map": cells(made, records),
        "verdicts": verdicts(made),
        "profile": profile.name,
        "repetitions": profile.repetitions,
        "targets": list(TARGETS),
        "deadline_ms": DEADLINE_MS,
        "ladders": {
            name: json.loads((folder / "ladder.json").read_text())["variants"]
            for name, folder in ground.ladders.items()
        },
        "chains": {
            name: {**chain, "ranked": chain["ranked"][:_RANKED]}
            for name, chain in ground.chains.items()
        },
        "machine": {
            "processor": _processor(),
            "cores": len(ground.edge_cores) + len(ground.other_cores),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "command": "hawkvision bench modeless" + (" --quick" if bench.quick else ""),
        "seed": bench.seed,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
