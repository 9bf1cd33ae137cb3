"""Time to answer over an emulated link: HTTP over TCP cubic and bbr against the lossy transport.

Client and agent run in two network namespaces with the link between them, so that the kernel's own
TCP and our UDP meet the same rate, delay, queue and loss; the data center is on the agent's side.
Without root they run here behind relays, and TCP is measured without loss only.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from hawkvision import roadsigns
from hawkvision.cli.processes import Child, stop_all
from hawkvision.datasets import LabelledSet, open_labelled, order
from hawkvision.errors import HawkVisionError
from loadtest.bench.lossy_client import Sample
from loadtest.link.model import LinkSettings
from loadtest.link.namespaces import why_not
from loadtest.link.place import Place, place

TRANSPORTS = ("http_cubic", "http_bbr", "lossy")
LINK = LinkSettings(rate_bps=15e6, delay_s=0.02)
CONDITIONS: dict[str, dict[str, float]] = {
    "0": {},
    "0.01": {"loss": 0.01},
    "0.05": {"loss": 0.05},
    "0.1": {"loss": 0.10},
    "fade 15 ms, 5 %": {"fade_mean_s": 0.015, "fade_share": 0.05},
    "fade 30 ms, 10 %": {"fade_mean_s": 0.030, "fade_share": 0.10},
}
_PLAIN = tuple(name for name in CONDITIONS if not name.startswith("fade"))
_PORT = 18_080
Known = tuple[bytes, str | None]


@dataclass(frozen=True)
class SizeClass:
    """Images of one size: deadline of the client, longest wait of the agent for packets, in ms.

    `idle_s` keeps the circuit breaker of the lossy sender closed at the largest loss.
    """

    name: str
    deadline_ms: float
    wait_ms: float
    idle_s: float
    images: int


SIZES = (
    SizeClass("10 kB", 100.0, 20.0, 0.03, 300),
    SizeClass("110 kB", 150.0, 80.0, 0.25, 60),
)


@dataclass(frozen=True)
class LossyBench:
    """What to run; `data` is a folder with imagenette.tar.gz and large-photos.tar.gz, or None."""

    task: str
    accuracy: float
    data: Path | None
    conditions: tuple[str, ...]
    parity: float | None
    scale: float
    seed: int


def bench_images(bench: LossyBench) -> list[list[Known]]:
    """(JPEG, label if known) for each size class. Drawn road signs where there is no data."""
    if bench.data is None:
        return [
            [
                (_drawn(index, size, quality), roadsigns.CLASSES[index % len(roadsigns.CLASSES)])
                for index in range(count)
            ]
            for size, quality, count in ((224, 86, 150), (512, 97, 56))
        ]
    small: list[Known] = [
        (image.data, image.label)
        for image in unseen_photos(bench.data / "imagenette.tar.gz")
        if 7_000 < len(image.data) < 13_000
    ]
    order = np.random.default_rng(bench.seed).permutation(len(small))
    large: list[Known] = [(data, None) for data in _tar_images(bench.data / "large-photos.tar.gz")]
    return [[small[index] for index in order], large]


def unseen_photos(archive: Path) -> LabelledSet:
    """The third of the photos that neither trained nor calibrated (as models.recipes splits)."""
    photos = open_labelled(archive, "val")
    return photos.part(order.thirds(photos.members)[1])


def _drawn(index: int, size: int, quality: int) -> bytes:
    image = roadsigns.render(index % len(roadsigns.CLASSES), seed=index, size=size)
    return bytes(simplejpeg.encode_jpeg(image, quality=quality, colorspace="RGB"))


def _tar_images(path: Path) -> list[bytes]:
    with tarfile.open(path) as archive:
        found = [archive.extractfile(member) for member in archive if member.isfile()]
        return [stream.read() for stream in found if stream is not None]


def run_lossy_bench(bench: LossyBench, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run all cells; see docs/benchmark.md for the keys. Raises HawkVisionError."""
    sets = bench_images(bench)
    cells: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(sets, Path(folder))
        for condition in bench.conditions:
            settings = LinkSettings(
                rate_bps=LINK.rate_bps, delay_s=LINK.delay_s, **CONDITIONS[condition]
            )
            with place(settings, _PORT, bench.seed) as where, _agents(bench, where):
                references = [_references(bench, where, files) for files in paths]
                for size, files, known, reference in zip(
                    SIZES, paths, sets, references, strict=True
                ):
                    progress(f"loss {condition}, {size.name}")
                    samples = _client(bench, where, size, files, condition)
                    cells += summarise(size, condition, samples, reference, known)
    return {
        "task": bench.task,
        "accuracy_target": bench.accuracy,
        "link": {"rate_mbps": 15, "one_way_ms": 20, "queue_ms": 100},
        "parity": "auto" if bench.parity is None else bench.parity,
        "seed": bench.seed,
        "emulation": "relays" if why_not() else "namespaces",
        "cells": cells,
    }


def _write_images(sets: Sequence[Sequence[Known]], folder: Path) -> list[Any]:
    paths: list[list[str]] = []
    for number, images in enumerate(sets):
        paths.append([])
        for index, (data, _) in enumerate(images):
            path = folder / f"{number}-{index:04d}.jpg"
            path.write_bytes(data)
            paths[-1].append(str(path))
    return paths


@contextlib.contextmanager
def _agents(bench: LossyBench, where: Place) -> Iterator[None]:
    """Gateway and edge agent in the far namespace."""
    task = ["--task", bench.task]
    upper = f"127.0.0.1:{_PORT + 1}"
    edge = ["--host", "0.0.0.0", "--insecure", "--port", str(_PORT), "--gateway", upper]
    children: list[Child] = []
    try:
        for name, options in (
            ("dc", ["--port", str(_PORT + 1), *task]),
            ("edge", [*edge, "--no-control", "--audit-share", "0", *task]),
        ):
            children.append(Child(name, options, echo=False, inside=where.far))
            children[-1].wait_ready()
        yield
    finally:
        stop_all(children)


_ASK = """
import asyncio, json, sys
from pathlib import Path
from hawkvision.client.async_client import AsyncClient
async def main(url, task, accuracy, paths):
    async with AsyncClient(url) as client:
        out = []
        for path in paths:
            answer = await client.classify(Path(path), accuracy=accuracy, task=task)
            out.append(answer.label)
        info = await client.task(task)
        json.dump({"labels": out, "aliases": dict(info.aliases)}, sys.stdout)
asyncio.run(main(*json.load(sys.stdin)))
"""


def _references(bench: LossyBench, where: Place, files: list[str]) -> dict[str, Any]:
    """What the agent answers to the undamaged images, asked on its own side of the link."""
    question = json.dumps([f"http://127.0.0.1:{_PORT}", bench.task, bench.accuracy, files])
    done = subprocess.run(
        where.far([sys.executable, "-c", _ASK]),
        input=question,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HawkVisionError(f"the undamaged images were not answered: {done.stderr[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _client(
    bench: LossyBench, where: Place, size: SizeClass, files: list[str], condition: str
) -> list[Sample]:
    block = 30 if size.images >= 60 else size.images
    plan = {
        "host": where.host,
        "port": where.port,
        "udp_port": where.udp_port,
        "accuracy": bench.accuracy,
        "task": bench.task,
        "images": files,
        # Behind relays TCP meets no loss: measuring it there would flatter it.
        "transports": TRANSPORTS if where.pair or condition == "0" else ("lossy",),
        "block": block,
        "blocks": max(1, round(size.images * bench.scale / block)),
        "parity": bench.parity,
        "pace_bps": 0.95 * LINK.rate_bps,
        "agent_deadline_ms": size.deadline_ms - 2e3 * LINK.delay_s,
        "wait_ms": min(size.wait_ms, size.deadline_ms - 2e3 * LINK.delay_s - 1),
        "lossy_idle_s": size.idle_s,
        "seed": bench.seed,
    }
    done = subprocess.run(
        where.near([sys.executable, "-m", "loadtest.bench.lossy_client"]),
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode != 0:
        raise HawkVisionError("the client of the benchmark failed; see above")
    return [Sample(**json.loads(line)) for line in done.stdout.splitlines()]


def summarise(
    size: SizeClass,
    condition: str,
    samples: Sequence[Sample],
    reference: dict[str, Any],
    known: Sequence[Known],
) -> list[dict[str, Any]]:
    """One cell for each transport. Pure.

    `top1` is the share of answers equal to those for the undamaged images, `accuracy` the share
    equal to the label, `by_deadline` is of all images, answered or not.
    """
    labels, aliases = reference["labels"], reference["aliases"]
    cells = []
    for transport in TRANSPORTS:
        mine = [sample for sample in samples if sample.transport == transport]
        answered = [sample for sample in mine if sample.latency_ms is not None]
        if not mine or not answered:
            continue
        times = np.array([sample.latency_ms for sample in answered], np.float64)
        truths = [known[sample.image][1] for sample in answered]
        right = [
            sample.label == aliases.get(truth, truth)
            for sample, truth in zip(answered, truths, strict=True)
            if truth is not None
        ]
        whole = [
            labels[sample.image] == aliases.get(truth, truth)
            for sample, truth in zip(answered, truths, strict=True)
            if truth is not None
        ]
        cells.append(
            {
                "bytes": int(np.mean([len(data) for data, _ in known])),
                "size": size.name,
                "loss": float(condition) if condition in _PLAIN else condition,
                "transport": transport,
                "n": len(mine),
                "p50_ms": round(float(np.percentile(times, 50)), 1),
                "p99_ms": round(float(np.percentile(times, 99)), 1),
                "by_deadline": round(float((times <= size.deadline_ms).sum()) / len(mine), 4),
                "deadline_ms": size.deadline_ms,
                "unanswered": len(mine) - len(answered),
                "top1": round(float(np.mean([s.label == labels[s.image] for s in answered])), 4),
                "accuracy": round(float(np.mean(right)), 4) if right else None,
                "accuracy_undamaged": round(float(np.mean(whole)), 4) if whole else None,
                "escalation_rate": round(float(np.mean([s.escalated for s in answered])), 4),
                "degraded_rate": round(
                    float(np.mean([s.degraded is not None for s in answered])), 4
                ),
                "lost_fraction": round(float(np.mean([s.lost_fraction for s in answered])), 4),
            }
        )
    return cells


def write_plot(result: dict[str, Any], path: Path) -> None:
    """P50 and P99 by loss for each transport and size, as SVG (extra `report`)."""
    from hawkvision.taskbuild.report.plots import BLUE, GREY, ORANGE, new_figure, to_svg_file

    figure, axes = new_figure(9.6, 3.4, len(SIZES))
    colours = {"http_cubic": GREY, "http_bbr": ORANGE, "lossy": BLUE}
    names = {"http_cubic": "HTTP, TCP cubic", "http_bbr": "HTTP, TCP bbr", "lossy": "lossy"}
    conditions = list(dict.fromkeys(cell["loss"] for cell in result["cells"]))
    for axis, size in zip(axes, SIZES, strict=True):
        for shift, transport in enumerate(TRANSPORTS):
            cells = {
                cell["loss"]: cell
                for cell in result["cells"]
                if cell["transport"] == transport and cell["size"] == size.name
            }
            x = np.array([index for index, name in enumerate(conditions) if name in cells])
            found = [cells[name] for name in conditions if name in cells]
            middle = np.array([cell["p50_ms"] for cell in found])
            tail = np.array([cell["p99_ms"] for cell in found])
            axis.vlines(x + 0.2 * (shift - 1), middle, tail, color=colours[transport], lw=5)
            axis.plot(
                x + 0.2 * (shift - 1),
                middle,
                "o",
                color=colours[transport],
                markersize=4,
                markeredgecolor="white",
                label=names[transport],
            )
        axis.axhline(size.deadline_ms, color="#444444", linestyle=":", linewidth=1)
        axis.set(
            yscale="log",
            title=f"{size.name}: P50 (dot) to P99",
            ylabel="ms to the answer",
            xticks=range(len(conditions)),
        )
        axis.set_xticklabels([_short(name) for name in conditions], fontsize=8)
        axis.legend(fontsize=7, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = to_svg_file(figure, "lossy")
    path.write_text(svg, "utf-8")


def _short(condition: str | float) -> str:
    if isinstance(condition, str):
        return condition.replace(", ", "\n")
    return f"{condition:.0%} loss"
