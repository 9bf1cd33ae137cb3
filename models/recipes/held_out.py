"""What a published task owes to the images that no rung was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from hawkvision import roadsigns
from hawkvision.calibration import CalibrationScores
from hawkvision.calibration.intervals import clopper_pearson
from hawkvision.datasets import LabelledImage, LabelledSet, in_memory, open_labelled, order

ROADSIGNS_SEEDS = (2, 3)
ROADSIGNS_IMAGES = 4000
_SPLITS = {"cifar10": "test"}

Flags = npt.NDArray[np.bool_]


def thirds(found: LabelledSet) -> tuple[LabelledSet, LabelledSet]:
    """Two thirds to calibrate with and one to report on, by the hash of the files' names."""
    calibrating, reporting = order.thirds(found.members)
    return found.part(calibrating), found.part(reporting)


def held_out(task: str, data: Path | None) -> tuple[LabelledSet, LabelledSet]:
    """The images that no rung was trained on: (to calibrate with, to report on)."""
    if task == "roadsigns":
        halves = [
            in_memory(
                (
                    LabelledImage(drawn.jpeg, drawn.label, f"{seed}-{index:05d}.jpg")
                    for index, drawn in enumerate(roadsigns.stream(ROADSIGNS_IMAGES, seed=seed))
                ),
                sorted(roadsigns.CLASSES),
            )
            for seed in ROADSIGNS_SEEDS
        ]
        return halves[0], halves[1]
    if data is None:
        raise click.UsageError(f"task {task} needs --data")
    return thirds(open_labelled(data, _SPLITS.get(task, "val")))


def target_rows(
    scores: CalibrationScores,
    targets: Sequence[float],
    confidence: npt.NDArray[np.float32],
    edge_right: Flags,
    dc_right: Flags,
) -> list[dict[str, Any]]:
    """For each target: its threshold, and what that gives on N images that did not calibrate.

    `confidence` [N] is that of the edge rung, calibrated; `edge_right` and `dc_right` [N] say which
    images each rung answers rightly. Intervals are Clopper and Pearson's at 95 %.
    """
    curve = scores.curve()
    rows: list[dict[str, Any]] = []
    for target in targets:
        if target > curve.highest_certifiable:
            rows.append({"target": target, "certified": False})
            continue
        threshold = curve.threshold_for(target)
        local = confidence >= threshold
        right = np.where(local, edge_right, dc_right)
        low, high = clopper_pearson(int(right.sum()), len(right))
        rows.append(
            {
                "target": target,
                "certified": True,
                "threshold": round(threshold, 4),
                "achieved": round(float(right.mean()), 4),
                "ci_low": round(low, 4),
                "ci_high": round(high, 4),
                "escalation_rate": round(float(1 - local.mean()), 4),
            }
        )
    return rows
