"""Accuracy against the share of the image that was lost: grey, concealed, loss-aware thresholds.

Images go through the transport's own code: cut into packets, some taken away, rebuilt, concealed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from hawkvision.cascade import Accuracy
from hawkvision.cascade.loss import LossPolicy
from hawkvision.datasets import LabelledImage, LabelledSet, open_labelled, order
from hawkvision.images import decode
from hawkvision.lossy.jpeg.damage import without_packets
from hawkvision.lossy.jpeg.pixels import decode_frame
from hawkvision.repository import Repository, shipped_repository
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.runs import each
from loadtest.bench.lossy import unseen_photos

FRACTIONS = (0.0, 0.02, 0.04, 0.06, 0.09, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class ConcealmentBench:
    """`data` is an archive or folder with a split val; of imagenette.tar.gz the unseen third."""

    task: str
    accuracy: float
    data: Path
    limit: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Look:
    """Both rungs' answers to one damaged image: right or not, and the edge's confidence."""

    lost: float
    edge_grey: bool
    edge_right: bool
    dc_right: bool
    confidence: float


def run_concealment_bench(bench: ConcealmentBench, progress: Callable[[], None]) -> dict[str, Any]:
    """Run it; see docs/benchmark.md for the keys. Raises HawkVisionError."""
    task = Repository(shipped_repository()).open(bench.task)
    scores = task.scores()
    images = _images(bench)
    kind = task.kind
    edge, dc = (LoadedRung.open(rung, kind) for rung in (task.rungs[0], task.rungs[-1]))

    def wrong(rung: LoadedRung, image: npt.NDArray[np.uint8], truth: Any) -> bool:
        return kind.loss(rung.predict([rung.fit(image)])[0], truth) > 0

    def look(image: LabelledImage) -> list[Look]:
        truth = kind.truth(image.label)
        found = []
        for number, share in enumerate(FRACTIONS):
            rng = np.random.default_rng([bench.seed, crc32(image.name.encode()), number])
            if share == 0:
                grey = shown = decode(image.data)
                lost = 0.0
            else:
                rebuilt = without_packets(image.data, share, rng)
                pixels = decode_frame(rebuilt)
                grey, shown, lost = decode(rebuilt.jpeg), pixels.image, pixels.lost_fraction
            answer = edge.predict([edge.fit(shown)])[0]
            found.append(
                Look(
                    lost,
                    not wrong(edge, grey, truth),
                    kind.loss(answer, truth) == 0,
                    not wrong(dc, shown, truth),
                    answer.confidence,
                )
            )
        return found

    looks = list(each(images, look, 2, progress))
    policy = LossPolicy(scores, tiers=task.tiers)
    intact = scores.curve().threshold_for(bench.accuracy)
    return {
        "task": bench.task,
        "target": bench.accuracy,
        "images": len(looks),
        "seed": bench.seed,
        "rows": [
            _row([one[number] for one in looks], share, intact, policy, bench.accuracy)
            for number, share in enumerate(FRACTIONS)
        ],
    }


def _images(bench: ConcealmentBench) -> LabelledSet:
    if bench.data.name == "imagenette.tar.gz":
        images = unseen_photos(bench.data)
    else:
        images = open_labelled(bench.data, "val")
    return images.part(order.by_name(images.members)[: bench.limit]) if bench.limit else images


def _row(
    looks: list[Look], share: float, intact: float, policy: LossPolicy, target: float
) -> dict[str, Any]:
    right = np.array([look.edge_right for look in looks])
    dc_right = np.array([look.dc_right for look in looks])
    confidence = np.array([look.confidence for look in looks])
    decisions = [policy.decide(Accuracy(target), look.lost, may_resend=False) for look in looks]
    aware = np.array([decision.target.threshold for decision in decisions])
    return {
        "lost": share,
        "lost_measured": round(float(np.mean([look.lost for look in looks])), 4),
        "edge_grey": round(float(np.mean([look.edge_grey for look in looks])), 4),
        "edge_concealed": round(float(right.mean()), 4),
        "dc_concealed": round(float(dc_right.mean()), 4),
        **_cascade("intact", right, dc_right, confidence >= intact),
        **_cascade("aware", right, dc_right, confidence >= aware),
        "certified": round(float(np.mean([decision.certified for decision in decisions])), 4),
    }


def _cascade(
    name: str,
    right: npt.NDArray[np.bool_],
    dc_right: npt.NDArray[np.bool_],
    local: npt.NDArray[np.bool_],
) -> dict[str, float]:
    return {
        f"{name}_accuracy": round(float(np.where(local, right, dc_right).mean()), 4),
        f"{name}_escalation": round(float(1 - local.mean()), 4),
    }


def write_plot(result: dict[str, Any], path: Path) -> None:
    """Accuracy and escalation against the share lost, as SVG (extra `report`)."""
    from hawkvision.taskbuild.report.plots import (
        BLUE,
        GREEN,
        GREY,
        ORANGE,
        RED,
        new_figure,
        to_svg_file,
    )

    rows = result["rows"]
    x = [100 * row["lost_measured"] for row in rows]
    figure, axes = new_figure(9.6, 3.4, 2)
    for key, colour, label, style in (
        ("edge_grey", GREY, "edge, lost parts grey", "-"),
        ("edge_concealed", ORANGE, "edge, concealed", "-"),
        ("dc_concealed", GREEN, "data center, concealed", "-"),
        ("intact_accuracy", RED, "cascade, threshold of intact images", "--"),
        ("aware_accuracy", BLUE, "cascade, loss-aware thresholds", "-"),
    ):
        axes[0].plot(x, [row[key] for row in rows], style, color=colour, label=label, marker=".")
    axes[0].axhline(result["target"], color="#444444", linestyle=":")
    axes[0].set(xlabel="lost on the way, % of the image", ylabel="accuracy")
    axes[1].plot(
        x, [row["intact_escalation"] for row in rows], "--", color=RED, label="intact threshold"
    )
    axes[1].plot(
        x, [row["aware_escalation"] for row in rows], color=BLUE, label="loss-aware", marker="."
    )
    axes[1].plot(
        x, [row["certified"] for row in rows], ":", color="#444444", label="share certified"
    )
    axes[1].set(xlabel="lost on the way, % of the image", ylabel="share of images")
    for axis in axes:
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = to_svg_file(figure, "loss")
    path.write_text(svg, "utf-8")
