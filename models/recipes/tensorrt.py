"""Give published tasks the files that TensorRT takes: `python -m models.recipes.tensorrt --data …`.

Each rung's certified file is the one graph both come from: its weights and ranges stay, its steps
become symmetric (`hawkvision.taskbuild.symmetric`). The new files go through the same calibration
on the same images, so their certificate is their own; what is reported are images that neither
trained nor calibrated. A rung whose file TensorRT takes as it is keeps it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from hawkvision.calibration import shown
from hawkvision.datasets import LabelledSet
from hawkvision.engines import flavour_of
from hawkvision.errors import EngineError
from hawkvision.repository import Repository, Rung, Task, shipped_repository, write_task
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild import symmetric as symmetric_steps
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.flavour import lay_beside
from hawkvision.taskbuild.runs import outputs_of
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.taskbuild.symmetric import symmetric
from models.recipes.held_out import held_out
from models.recipes.references import add_references

FLAVOUR = "tensorrt"
INTEGER = {("cifar10", "edge")}
"""Rungs whose files are not in the QDQ format, and which TensorRT takes as they are."""

KEPT = {("cifar10", "dc"): 0.8, ("imagenette", "dc"): 0.8}
"""Where int8 covers another share of the ranges.

Chosen on the held-out images of the same tasks, by the logits' distance from the float network,
with accuracies in view; docs/bring-your-models.md says what that means for the figures.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One rung on the images that only report: shares of them, before and after."""

    rung: str
    images: int
    plain: float
    flavour: float
    same_label: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "images_reported": self.images,
            "accuracy_reported": round(self.flavour, 4),
            "accuracy_reported_plain": round(self.plain, 4),
            "same_label": round(self.same_label, 4),
        }


def write_files(task: Task, folder: Path) -> list[Path]:
    """The flavour's model files in `folder`, one for each rung."""
    paths = []
    for rung in task.rungs:
        path = folder / f"{rung.name}.onnx"
        model, key = onnx.load(rung.model.path), (task.name, rung.name)
        if key not in INTEGER:
            model = symmetric(model, kept=KEPT.get(key, symmetric_steps.KEPT))
        onnx.save(model, path)
        paths.append(path)
    return paths


def answers(rung: Rung, task: Task, images: LabelledSet) -> tuple[np.ndarray, np.ndarray]:
    """Which images [N] a rung answers rightly, and what it says, by ONNX Runtime."""
    loaded = LoadedRung.open(rung, task.kind)
    try:
        outputs = outputs_of(loaded, list(images), threads=1)
    finally:
        loaded.close()
    said = [one.class_id for one in task.kind.read(outputs, rung.head, ())]
    truth = [task.kind.truth(image.label) for image in images]
    return np.array(said) == np.array(truth), np.array(said)


def compare(task: Task, reporting: LabelledSet) -> list[Row]:
    """Each rung's plain file beside the flavour's."""
    rows = []
    for plain, own in zip(task.rungs, task.flavours[FLAVOUR].rungs, strict=True):
        right, said = answers(plain, task, reporting)
        also, then = answers(own, task, reporting)
        same = float((said == then).mean())
        rows.append(Row(plain.name, len(said), float(right.mean()), float(also.mean()), same))
    return rows


def add(task: Task, data: Path | None, engine: str) -> Task:
    """Build, certify and lay the flavour beside the task's files."""
    calibrating, reporting = held_out(task.name, data)
    with tempfile.TemporaryDirectory() as scratch:
        files = write_files(task, Path(scratch))
        request = BuildRequest(
            name=task.name,
            models=tuple(
                ModelSource(path, fit=rung.geometry.fit, output="logits", name=rung.name)
                for path, rung in zip(files, task.rungs, strict=True)
            ),
            images=calibrating,
            aliases=dict(task.aliases),
            engine=engine,
            threads=1,
        )
        built = build_task(request, Path(scratch) / "tasks", Progress())
        made = add_references(built.task, engine)
        if len(made.scores()) != len(task.scores()):
            raise EngineError("the images are not those that the task was calibrated on")
        task = lay_beside(task, made, FLAVOUR)
    rows = compare(task, reporting)
    flavour = task.flavours[FLAVOUR]
    rungs = tuple(
        replace(rung, measured=measured(rung, row, engine))
        if rung.model.path != task.rung(rung.name).model.path
        else rung
        for rung, row in zip(flavour.rungs, rows, strict=True)
    )
    write_task(replace(task, flavours={**task.flavours, FLAVOUR: replace(flavour, rungs=rungs)}))
    record(task, flavour, rows, data, engine)
    return task


def measured(rung: Rung, row: Row, engine: str) -> dict[str, float]:
    """What is known of a rung; times only of the engine that it is for."""
    size = {"kilobytes": rung.measured["kilobytes"]}
    known = rung.measured if flavour_of(engine) == FLAVOUR else size
    return {
        "accuracy": round(row.flavour, 4),
        **{k: v for k, v in known.items() if k != "accuracy"},
    }


def record(task: Task, flavour: Task, rows: Sequence[Row], data: Path | None, engine: str) -> None:
    """Keep what was measured in `training.json`."""
    path = task.folder / "training.json"
    kept = json.loads(path.read_text())
    highest = [one.scores().curve().highest_certifiable for one in (task, flavour)]
    certifying = {
        name: (round(1 - float(before.mean()), 4), round(1 - float(after.mean()), 4))
        for name, before, after in zip(
            [rung.name for rung in task.rungs],
            task.scores().rung_loss[0],
            flavour.scores().rung_loss[0],
            strict=True,
        )
    }
    kept["flavours"] = {
        FLAVOUR: {
            "rungs": {
                row.rung: {
                    **row.as_dict(),
                    "images_certifying": len(flavour.scores()),
                    "accuracy_certifying": certifying[row.rung][1],
                    "accuracy_certifying_plain": certifying[row.rung][0],
                }
                for row in rows
            },
            "engine": engine,
            "highest_certifiable": shown.floored(highest[1], 4),
            "command": f"python -m models.recipes.tensorrt {task.name}"
            + (" --data DIR" if data else ""),
        }
    }
    path.write_text(json.dumps(kept, indent=2) + "\n")
    for row in rows:
        click.echo(
            f"{task.name} {row.rung}: {row.plain:.4f} as it is, {row.flavour:.4f} for TensorRT, "
            f"same label on {row.same_label:.4f} of {row.images}; on those that certify "
            f"{certifying[row.rung][0]:.4f} and {certifying[row.rung][1]:.4f}"
        )
    shown_highest = ", then ".join(shown.lower(one) for one in highest)
    click.echo(f"{task.name}: highest certified {shown_highest}")


@click.command()
@click.argument("task")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--repository", type=click.Path(path_type=Path), default=shipped_repository)
@click.option("--engine", default="onnx", show_default=True, help="That certifies.")
def main(task: str, data: Path | None, repository: Path, engine: str) -> None:
    """Add TASK's files for TensorRT to its newest version."""
    add(Repository(repository).open(task), data, engine)


if __name__ == "__main__":
    main()
