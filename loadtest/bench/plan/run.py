"""Measure costs, plan, run the same traffic through real processes over a link, and compare.

The agent has one core; gateway, link, client and whoever measures share the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hawkvision.cli.measuring import Inside, Measuring, cpu_s, measure
from hawkvision.cli.plan import expected_up
from hawkvision.cli.plan_tables import as_json
from hawkvision.cli.processes import Child, stop_all
from hawkvision.cli.stand_ins import stand_ins
from hawkvision.errors import HawkVisionError
from hawkvision.planning.asked import Asked, Link, parse_mix
from hawkvision.planning.plan import make_plan
from hawkvision.repository import Repository, Task
from loadtest.bench.lossy import unseen_photos
from loadtest.bench.plan.settings import Measured, Setting, compare
from loadtest.link.model import LinkSettings
from loadtest.link.relay import TcpRelay

DEADLINE_MS = 1000.0
_CONNECTIONS = 200
_WARM_UP_S = 2.0
_SETTLE_S = 1.0
PRIORITY = 10
"""Real-time, of client and link."""

_FIRST = 'echo -20 2>/dev/null > /proc/self/autogroup; exec "$@"'
"""A shell's: a session comes before others (sched(7)), where that is allowed."""


@dataclass(frozen=True)
class PlanBench:
    """What to run: each setting for `seconds`. `data` is a folder with imagenette.tar.gz.

    `measuring_s` is how long each part of measuring the costs takes.
    """

    task: str
    repository: Path
    data: Path
    settings: Sequence[Setting]
    seconds: float
    seed: int
    measuring_s: float = 5.0


@dataclass(frozen=True)
class Ground:
    """Where an agent and a gateway run, the task, and who is told what goes on."""

    edge: Inside
    gateway: Inside
    task: Task
    say: Callable[[str], None]


def run_plan_bench(bench: PlanBench, say: Callable[[str], None]) -> dict[str, Any]:
    """Run it; see docs/plan.md for the keys. Raises HawkVisionError."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or not all(shutil.which(one) for one in ("taskset", "chrt")):
        raise HawkVisionError(
            "bench plan needs two cores, taskset and chrt",
            hint="Run it on Linux, with util-linux installed.",
        )
    task = Repository(bench.repository).open(bench.task)
    ground = Ground(_pinned(cores[0]), _pinned(cores[1]), task, say)
    with TemporaryDirectory() as folder, _on(cores[1]):
        photos = Path(folder)
        _write_photos(photos, task, bench.data / "imagenette.tar.gz")
        rows = [_one(bench, one, photos, ground) for one in bench.settings]
    return {
        "task": task.name,
        "version": task.version,
        "seconds": bench.seconds,
        "seed": bench.seed,
        "settings": rows,
    }


@contextmanager
def _on(core: int) -> Iterator[None]:
    """This process on one core and, where that is allowed (root), in real time before others.

    In the field client and link have machines of their own and wait for no gateway. Being less nice
    is not enough: Linux shares a core out among sessions first (sched(7), autogroups), and each
    service has one of its own.
    """
    before, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, policy, os.sched_param(0))


def _pinned(core: int) -> Inside:
    """A command on one core, in the usual way, though before whatever else this machine does."""

    def inside(line: list[str]) -> list[str]:
        return ["chrt", "--other", "0", "taskset", "-c", str(core), "sh", "-c", _FIRST, "sh", *line]

    return inside


def _write_photos(folder: Path, task: Task, archive: Path) -> None:
    """Photos that neither trained nor calibrated, with their labels."""
    labels = []
    for number, photo in enumerate(unseen_photos(archive)):
        name = f"{number:04d}.jpg"
        (folder / name).write_bytes(photo.data)
        labels.append([name, task.aliases.get(photo.label, photo.label)])
    (folder / "labels.json").write_text(json.dumps(labels))


def _one(bench: PlanBench, setting: Setting, photos: Path, ground: Ground) -> dict[str, Any]:
    task, say = ground.task, ground.say
    asked = Asked(
        rate=setting.rate,
        mix=parse_mix(setting.targets),
        link=Link(setting.rtt_ms, setting.mbit, setting.mbit),
        deadline_ms=DEADLINE_MS,
        rungs=1,
    )
    say(f"{setting.name}: measuring costs")
    calls = setting.rate * expected_up(task, asked)
    images = stand_ins(task.scores())
    sides = ground.edge, ground.gateway
    wanted = Measuring(
        task, bench.repository, images, setting.rate, calls, *sides, bench.measuring_s
    )
    edge, gateway = measure(wanted, lambda text: say(f"{setting.name}: {text}"))
    plan = as_json(make_plan(task, asked, edge, gateway, seed=bench.seed))
    say(f"{setting.name}: {bench.seconds:g} s of traffic")
    measured = _traffic(bench, setting, photos, ground)
    lines = compare(plan, measured)
    return {
        **asdict(setting),
        "lines": [{**asdict(one), "error": one.error, "within": one.within} for one in lines],
        "besides": measured.besides(),
        "plan": plan,
        "costs": {"edge": asdict(edge), "gateway": asdict(gateway)},
    }


def _traffic(bench: PlanBench, setting: Setting, photos: Path, ground: Ground) -> Measured:
    served = ["--task", bench.task, "--model-repository", str(bench.repository), "--port", "0"]
    served += ["--threads", "1", "--log-level", "error"]
    link = LinkSettings(setting.mbit * 1e6, setting.rtt_ms / 2e3)
    with contextlib.ExitStack() as stack:

        def start(name: str, inside: Inside, *words: str) -> tuple[Child, str]:
            child = Child(name, [*served, *words], echo=False, inside=inside)
            stack.callback(stop_all, [child])
            return child, child.wait_ready().rpartition("/")[2]

        gateway, address = start("dc", ground.gateway)
        host, _, port = address.rpartition(":")
        relay = stack.enter_context(TcpRelay((host, int(port)), link))
        words = ("--gateway", f"127.0.0.1:{relay.port}", "--rungs", "1")
        edge, agent = start("edge", ground.edge, *words)
        _client(bench, setting, photos, agent, _WARM_UP_S)
        before = _used((gateway, edge), relay)
        columns = _client(bench, setting, photos, agent, bench.seconds)
        after = _used((gateway, edge), relay)
    gateway_s, edge_s, up, pieces, late_s = (
        now - one for now, one in zip(after, before, strict=True)
    )
    late_ms = 1e3 * late_s / pieces if pieces else 0.0
    return Measured(columns, edge_s, gateway_s, up, bench.seconds, late_ms)


def _used(children: Sequence[Child], relay: TcpRelay) -> tuple[float, float, float, float, float]:
    """CPU of gateway and agent, s; bytes that went up; pieces that the link carried, and how late
    all of them, s."""
    gateway, edge = (cpu_s(child.process.pid) for child in children)
    return gateway, edge, float(relay.carried_up()), *relay.late()


def _client(
    bench: PlanBench, setting: Setting, photos: Path, agent: str, seconds: float
) -> dict[str, Any]:
    host, _, port = agent.rpartition(":")
    plan = {
        "host": host,
        "port": int(port),
        "path": f"/v1/classify?task={bench.task}",
        "images": str(photos),
        "connections": _CONNECTIONS,
        "rate": setting.rate,
        "seconds": seconds,
        "deadline_ms": DEADLINE_MS,
        "targets": [[one.accuracy.value, one.share] for one in parse_mix(setting.targets)],
        "seed": bench.seed,
    }
    line = [sys.executable, "-m", "loadtest.bench.plan.client"]
    done = subprocess.run(line, input=json.dumps(plan), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HawkVisionError(f"{setting.name}: the client failed: {done.stderr.strip()[-300:]}")
    time.sleep(_SETTLE_S)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
