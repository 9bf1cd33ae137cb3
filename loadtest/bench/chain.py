"""One chain, cut at every place: escalations, waiting and CPU at the same delivered accuracy.

Real processes: a gateway with all larger rungs, an emulated link, and an agent for each cut, which
get the same photos in turn. Then the link is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from hawkvision.calibration.intervals import accuracy_interval
from hawkvision.cli.processes import Child, stop_all
from hawkvision.client import AsyncClient
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, Task
from loadtest.bench.lossy import unseen_photos
from loadtest.link.model import LinkSettings
from loadtest.link.relay import TcpRelay

RATE_BPS = 15e6
_BLOCK = 50
_WARM_UP = 20
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ChainBench:
    """What to run: so many `images` over links of `round_trips` ms, `concurrency` at a time.

    `data` is a folder with imagenette.tar.gz.
    """

    task: str
    accuracy: float
    data: Path
    repository: Path
    round_trips: tuple[float, ...]
    images: int
    concurrency: int
    seed: int


@dataclass(frozen=True, slots=True)
class Photo:
    """An encoded photo and its truth."""

    data: bytes
    truth: Any


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer, whether it was wrong, and how long the client waited, ms."""

    answer: Answer
    error: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Running:
    """An agent or a gateway that is ready, and where."""

    child: Child
    address: str

    @classmethod
    def start(cls, name: str, options: list[str]) -> Running:
        """Start it. Raises HawkVisionError."""
        child = Child(name, options, echo=False)
        try:
            return cls(child, child.wait_ready())
        except HawkVisionError:
            child.kill()
            raise

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    @property
    def cpu_s(self) -> float:
        """CPU seconds since it started."""
        times = psutil.Process(self.child.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return round(psutil.Process(self.child.process.pid).memory_info().rss / 1e6, 1)


@dataclass
class Run:
    """What one agent did: its answers by image, and CPU seconds of both sides."""

    sent: list[Sent] = field(default_factory=list)
    edge_s: float = 0.0
    dc_s: float = 0.0


def photos(bench: ChainBench, task: Task) -> list[Photo]:
    """Photos that neither trained nor calibrated, mixed. Raises DatasetError."""
    unseen = unseen_photos(bench.data / "imagenette.tar.gz")
    found = [Photo(image.data, task.kind.truth(image.label)) for image in unseen]
    order = np.random.default_rng(bench.seed).permutation(len(found))
    return [found[index] for index in order[: bench.images]]


def run_chain_bench(bench: ChainBench, progress: Progress) -> dict[str, Any]:
    """Run it; see docs/benchmark.md for the keys. Raises HawkVisionError."""
    task = Repository(bench.repository).open(bench.task)
    if len(task.rungs) < 3:
        raise HawkVisionError(
            f"task {bench.task} has {len(task.rungs)} rungs; a chain has more", hint="See --task."
        )
    images = photos(bench, task)
    cuts = range(1, len(task.rungs) + 1)
    cells, cut = [], []
    for round_trip in bench.round_trips:
        progress(f"a round trip of {round_trip:g} ms")
        with _gateway(bench) as gateway, contextlib.ExitStack() as near:
            settings = LinkSettings(rate_bps=RATE_BPS, delay_s=round_trip / 2e3)
            link = contextlib.ExitStack()
            relay = link.enter_context(TcpRelay(("127.0.0.1", gateway.port), settings))
            agents = near.enter_context(_agents(bench, relay.port, cuts))
            near.callback(link.close)
            runs = asyncio.run(_all(bench, task, agents, gateway, images))
            for held in cuts:
                cell = row(task, held, runs[held], runs[1])
                memory = {"edge_rss_mb": agents[held].rss_mb}
                cells.append({"round_trip_ms": round_trip, **cell, **memory})
            if round_trip == bench.round_trips[-1]:
                progress("the link is cut")
                link.close()
                alone = asyncio.run(_all(bench, task, agents, gateway, images))
                cut = [row(task, held, alone[held], runs[1]) for held in cuts]
    return {
        "task": task.name,
        "version": task.version,
        "accuracy_target": bench.accuracy,
        "images": len(images),
        "rungs": [rung.name for rung in task.rungs],
        "thresholds": [rung.threshold for rung in task.rungs],
        "link": {"rate_mbps": RATE_BPS / 1e6, "emulation": "relay"},
        "concurrency": bench.concurrency,
        "seed": bench.seed,
        "cells": cells,
        "cut": cut,
    }


@contextlib.contextmanager
def _gateway(bench: ChainBench) -> Iterator[Running]:
    found = Running.start("dc", ["--port", "0", *_common(bench)])
    try:
        yield found
    finally:
        stop_all([found.child])


@contextlib.contextmanager
def _agents(bench: ChainBench, gateway: int, cuts: Sequence[int]) -> Iterator[dict[int, Running]]:
    """By the number of rungs that they hold."""
    base = ["--port", "0", "--gateway", f"127.0.0.1:{gateway}", "--audit-share", "0"]
    found: dict[int, Running] = {}
    try:
        for held in cuts:
            options = [*base, "--no-control", "--rungs", str(held), *_common(bench)]
            found[held] = Running.start("edge", options)
        yield found
    finally:
        stop_all([one.child for one in found.values()])


def _common(bench: ChainBench) -> list[str]:
    return ["--task", bench.task, "--model-repository", str(bench.repository)]


async def _all(
    bench: ChainBench, task: Task, agents: dict[int, Running], gateway: Running, images: list[Photo]
) -> dict[int, Run]:
    """Every agent gets every image, in blocks, one agent after the other."""
    runs = {held: Run() for held in agents}
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            held: await stack.enter_async_context(AsyncClient(agent.address))
            for held, agent in agents.items()
        }
        for client in clients.values():
            await _send(bench, task, client, images[:_WARM_UP])
        for start in range(0, len(images), _BLOCK):
            for held, client in clients.items():
                run, before = runs[held], (agents[held].cpu_s, gateway.cpu_s)
                run.sent += await _send(bench, task, client, images[start : start + _BLOCK])
                run.edge_s += agents[held].cpu_s - before[0]
                run.dc_s += gateway.cpu_s - before[1]
    return runs


async def _send(
    bench: ChainBench, task: Task, client: AsyncClient, images: Sequence[Photo]
) -> list[Sent]:
    out: dict[int, Sent] = {}
    places = iter(range(len(images)))

    async def work() -> None:
        for place in places:
            start = time.perf_counter()
            answer = await client.classify(
                images[place].data, accuracy=bench.accuracy, task=task.name, top_k=1
            )
            spent_ms = (time.perf_counter() - start) * 1e3
            said = task.kind.parse_answer(answer.prediction)
            out[place] = Sent(answer, task.kind.loss(said, images[place].truth), spent_ms)

    async with asyncio.TaskGroup() as group:
        for _ in range(bench.concurrency):
            group.create_task(work())
    return [out[place] for place in range(len(images))]


def row(task: Task, held: int, run: Run, first: Run) -> dict[str, Any]:
    """What an agent that holds so many rungs delivered. Pure.

    `same` is the share of images answered as `first` answered them.
    """
    answers = [one.answer for one in run.sent]
    errors = np.array([one.error for one in run.sent])
    times = np.array([one.latency_ms for one in run.sent])
    low, high = accuracy_interval(errors, binary=task.kind.binary)
    names = Counter(answer.rung for answer in answers)
    pairs = zip(answers, [one.answer for one in first.sent], strict=True)
    n = len(answers)
    return {
        "rungs": held,
        "n": n,
        "accuracy": round(1 - float(errors.mean()), 4),
        "ci_low": round(low, 4),
        "ci_high": round(high, 4),
        "same": round(sum(_said(one) == _said(other) for one, other in pairs) / n, 4),
        "certified": round(sum(answer.certified for answer in answers) / n, 4),
        "escalated": round(sum(answer.escalated for answer in answers) / n, 4),
        "degraded": round(sum(answer.degraded is not None for answer in answers) / n, 4),
        "by_rung": {rung.name: round(names[rung.name] / n, 4) for rung in task.rungs},
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p99_ms": round(float(np.percentile(times, 99)), 1),
        "mean_ms": round(float(times.mean()), 2),
        "edge_cpu_ms": round(run.edge_s / n * 1e3, 3),
        "dc_cpu_ms": round(run.dc_s / n * 1e3, 3),
    }


def _said(answer: Answer) -> object:
    return {name: one for name, one in answer.prediction.items() if name in ("class_id", "label")}


def write_plot(result: dict[str, Any], path: Path) -> None:
    """P99 and CPU by the cut, and what a lost link costs, as SVG (extra `report`)."""
    from hawkvision.taskbuild.report.plots import BLUE, GREY, ORANGE, new_figure, to_svg_file

    figure, axes = new_figure(9.6, 3.2, 3)
    trips = list(dict.fromkeys(cell["round_trip_ms"] for cell in result["cells"]))
    for colour, trip in zip((BLUE, ORANGE, GREY), trips, strict=False):
        mine = [cell for cell in result["cells"] if cell["round_trip_ms"] == trip]
        held = [cell["rungs"] for cell in mine]
        label = f"{trip:g} ms"
        axes[0].plot(held, [cell["p99_ms"] for cell in mine], "o-", color=colour, label=label)
    axes[0].set(ylabel="P99, ms", ylim=(0, None))
    held = [cell["rungs"] for cell in mine]
    edge = [cell["edge_cpu_ms"] for cell in mine]
    axes[1].bar(held, edge, color=BLUE, width=0.6, label="edge")
    axes[1].bar(
        held, [c["dc_cpu_ms"] for c in mine], bottom=edge, color=GREY, width=0.6, label="gateway"
    )
    axes[1].set(ylabel="CPU a request, ms")
    linked = [cell["accuracy"] for cell in mine]
    axes[2].plot(held, linked, "o-", color=BLUE, label="linked")
    cut = [cell["accuracy"] for cell in result["cut"]]
    axes[2].plot(held, cut, "o-", color=ORANGE, label="link cut")
    axes[2].axhline(result["accuracy_target"], color=GREY, linestyle="--", label="target")
    axes[2].set(ylabel="delivered accuracy")
    for axis in axes:
        axis.set(xlabel="rungs at the edge", xticks=held)
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_svg_file(figure, "chain"), "utf-8")
