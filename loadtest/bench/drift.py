"""Traffic that turns bad and recovers: a fixed threshold against a steered one, on real processes.

Two agents with one gateway get the same images in the same order, one with certified thresholds
only, the other steering. The bench knows the true labels; the agents are never told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from hawkvision.cli.processes import Child, stop_all
from hawkvision.client import AsyncClient
from hawkvision.errors import HawkVisionError
from hawkvision.images import decode
from hawkvision.repository import Repository, Task, shipped_repository
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.traffic import Labelled, load_images

Image = npt.NDArray[np.uint8]
BLOCK = 250
TOLERANCE = 0.01
_SETTLED = 2000


def _fog(image: Image, _rng: np.random.Generator) -> Image:
    return np.asarray(np.clip(image * 0.45 + 0.55 * 215, 0, 255), np.uint8)


def _blur(image: Image, _rng: np.random.Generator) -> Image:
    sigma = 1.6 * max(image.shape[:2]) / 160
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _low_light(image: Image, rng: np.random.Generator) -> Image:
    return np.asarray(np.clip(image * 0.2 + rng.normal(0, 6, image.shape), 0, 255), np.uint8)


def _same(image: Image, _rng: np.random.Generator) -> Image:
    return image


DRIFTS: dict[str, tuple[Callable[[Image, np.random.Generator], Image], int]] = {
    "fog": (_fog, 90),
    "blur": (_blur, 90),
    "low-light": (_low_light, 90),
    "jpeg-10": (_same, 10),
}
"""A change of the pixels, and the JPEG quality that they are then sent with."""


@dataclass(frozen=True)
class DriftBench:
    """What to run; phases in requests."""

    task: str
    drift: str
    target: float
    data: str | None
    images: int
    clean: int
    drifted: int
    after: int
    concurrency: int
    seed: int


@dataclass(frozen=True, slots=True)
class Sent:
    """One request's outcome."""

    correct: bool
    escalated: bool
    threshold: float


def damaged(images: list[Labelled], drift: str, seed: int) -> list[Labelled]:
    """The same images as the drift shows them, encoded again."""
    change, quality = DRIFTS[drift]
    rng = np.random.default_rng(seed)
    out = []
    for image in images:
        pixels = np.ascontiguousarray(change(decode(image.data), rng))
        coded = simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB")
        out.append(Labelled(coded, image.truth))
    return out


def alone(task: Task, images: list[Labelled]) -> list[float]:
    """Accuracy of each rung alone on these images."""
    shares = []
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind)
        loss = 0.0
        for image in images:
            prediction = loaded.predict([loaded.fit(decode(image.data))])[0]
            loss += task.kind.loss(prediction, image.truth)
        loaded.close()
        shares.append(1 - loss / len(images))
    return shares


async def _send(
    client: AsyncClient, task: str, target: float, traffic: list[Labelled], concurrency: int
) -> list[Sent]:
    out: list[Sent | None] = [None] * len(traffic)
    places = iter(range(len(traffic)))

    async def work() -> None:
        for place in places:
            image = traffic[place]
            answer = await client.classify(image.data, accuracy=target, task=task, top_k=1)
            if answer.degraded is not None:
                raise HawkVisionError(
                    f"an answer was degraded: {answer.degraded}", hint="Run on a quieter machine."
                )
            out[place] = Sent(
                answer.class_id == image.truth, answer.escalated, answer.accuracy.threshold
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return [one for one in out if one is not None]


async def _run(
    bench: DriftBench,
    urls: dict[str, str],
    phases: list[tuple[list[Labelled], int]],
    progress: Callable[[int], None],
) -> tuple[dict[str, list[Sent]], list[float]]:
    """Both agents get the traffic block by block, in turn; (outcomes, audits so far by block)."""
    rng = np.random.default_rng(bench.seed)
    sent: dict[str, list[Sent]] = {name: [] for name in urls}
    audits: list[float] = []
    async with AsyncClient(urls["fixed"]) as fixed, AsyncClient(urls["steered"]) as steered:
        clients = {"fixed": fixed, "steered": steered}
        for images, count in phases:
            for start in range(0, count, BLOCK):
                chosen = rng.integers(len(images), size=min(BLOCK, count - start))
                traffic = [images[index] for index in chosen]
                for name, client in clients.items():
                    sent[name] += await _send(
                        client, bench.task, bench.target, traffic, bench.concurrency
                    )
                report = await steered.delivered(task=bench.task)
                audits.append(report.windows["1h"].overall.audits)
                progress(len(traffic))
    return sent, audits


def run_drift_bench(bench: DriftBench, progress: Callable[[int], None]) -> dict[str, Any]:
    """Run it; see docs/benchmark.md for the keys. Raises HawkVisionError."""
    task = Repository(shipped_repository()).open(bench.task)
    common = ["--port", "0", "--task", bench.task]
    children = [Child("dc", common, echo=False)]
    try:
        gateway = children[0].wait_ready()
        children += [
            Child("edge", [*common, "--gateway", gateway, *more], echo=False)
            for more in (["--no-control"], ["--tracking-interval-s", "0.2"])
        ]
        urls = {
            name: child.wait_ready()
            for name, child in zip(("fixed", "steered"), children[1:], strict=True)
        }
        clean, drifted = asyncio.run(_images(bench, urls["fixed"]))
        phases = [(clean, bench.clean), (drifted, bench.drifted), (clean, bench.after)]
        sent, audits = asyncio.run(_run(bench, urls, phases, progress))
    finally:
        stop_all(children)
    return summarise(bench, sent, audits, alone(task, drifted))


async def _images(bench: DriftBench, url: str) -> tuple[list[Labelled], list[Labelled]]:
    async with AsyncClient(url) as client:
        info = await client.task(bench.task)
    source = bench.data or f"roadsigns:{bench.images}"
    split = "val" if bench.data else None
    clean = load_images(source, split, info, bench.images, bench.seed)
    return clean, damaged(clean, bench.drift, bench.seed)


def summarise(
    bench: DriftBench, sent: dict[str, list[Sent]], audits: list[float], alone_: list[float]
) -> dict[str, Any]:
    """The figures of a run. Pure."""
    begin, end = bench.clean, bench.clean + bench.drifted
    best = max(alone_)
    wanted = min(bench.target, best) - TOLERANCE
    right = {name: np.array([one.correct for one in outcomes]) for name, outcomes in sent.items()}
    up = {name: np.array([one.escalated for one in outcomes]) for name, outcomes in sent.items()}
    threshold = np.array([one.threshold for one in sent["steered"]])
    floor = float(sent["fixed"][0].threshold)
    late = slice(max(begin, end - _SETTLED), end)
    ending = threshold[-max(1, bench.after // 4) :]
    last = len(right["steered"])
    return {
        "task": bench.task,
        "drift": bench.drift,
        "target": bench.target,
        "edge_alone": alone_[0],
        "dc_alone": alone_[-1],
        "best_reachable": best,
        "accuracy_clean": float(right["steered"][:begin].mean()),
        "escalation_clean": float(up["steered"][:begin].mean()),
        "accuracy_fixed": float(right["fixed"][late].mean()),
        "accuracy_controlled": float(right["steered"][late].mean()),
        "escalation_fixed": float(up["fixed"][late].mean()),
        "escalation_controlled": float(up["steered"][late].mean()),
        "recovered_after": recovered_after(right["steered"][begin:end], wanted),
        "audit_share": largest_share(audits),
        "threshold_floor": floor,
        "threshold_spread": float(
            np.percentile(threshold[late], 95) - np.percentile(threshold[late], 5)
        ),
        "threshold_after": float(ending.mean()),
        "requests": last,
        "blocks": {
            "request": list(range(0, last, BLOCK)),
            "accuracy_fixed": _blocks(right["fixed"]),
            "accuracy_controlled": _blocks(right["steered"]),
            "escalation_fixed": _blocks(up["fixed"]),
            "escalation_controlled": _blocks(up["steered"]),
            "threshold": _blocks(threshold),
            "audits": audits,
        },
        "phases": [begin, end],
        "seed": bench.seed,
    }


def recovered_after(right: npt.NDArray[np.bool_], wanted: float, window: int = 500) -> int | None:
    """Requests after which the following `window` are right as often as wanted; None: never."""
    total = np.concatenate([[0], np.cumsum(right)])
    means = (total[window:] - total[:-window]) / window
    found = np.flatnonzero(means >= wanted)
    return int(found[0]) if len(found) else None


def largest_share(audits: list[float], requests: int = 2500) -> float:
    """The largest share of audits in any stretch of so many requests."""
    blocks = requests // BLOCK
    total = np.array([0.0, *audits])
    if len(total) <= blocks:
        return float(total[-1] / (BLOCK * (len(total) - 1)))
    return float((total[blocks:] - total[:-blocks]).max() / (blocks * BLOCK))


def _blocks(values: npt.NDArray[Any]) -> list[float]:
    return [float(values[start : start + BLOCK].mean()) for start in range(0, len(values), BLOCK)]


def write_plot(result: dict[str, Any], path: Path) -> None:
    """Accuracy, escalation and threshold over requests, as SVG (extra `report`)."""
    from hawkvision.taskbuild.report.plots import BLUE, GREY, ORANGE, new_figure, to_svg_file

    blocks = result["blocks"]
    figure, axes = new_figure(9.6, 3.2, 3)
    x = blocks["request"]
    axes[0].plot(x, blocks["accuracy_fixed"], color=GREY, label="fixed")
    axes[0].plot(x, blocks["accuracy_controlled"], color=BLUE, label="steered")
    axes[0].axhline(result["target"], color=ORANGE, linestyle="--", label="target")
    axes[0].set(ylabel="delivered accuracy")
    axes[1].plot(x, blocks["escalation_fixed"], color=GREY, label="fixed")
    axes[1].plot(x, blocks["escalation_controlled"], color=BLUE, label="steered")
    axes[1].set(ylabel="escalation rate")
    axes[2].plot(x, blocks["threshold"], color=BLUE, label="steered")
    axes[2].axhline(result["threshold_floor"], color=GREY, linestyle="--", label="certified")
    axes[2].set(ylabel="threshold")
    for axis in axes:
        axis.axvspan(*result["phases"], color="#eeeeee")
        axis.set(xlabel="requests")
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = to_svg_file(figure, "drift")
    path.write_text(svg, "utf-8")
