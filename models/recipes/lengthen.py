"""Put one of the ladder's networks into a task's chain: `python -m models.recipes.lengthen …`.

The next version of the task is made of its published files and the new one, without checkpoints;
the same photos calibrate and report as in `publish`. TensorRT's flavour is made afterwards, by
`models.recipes.tensorrt`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from hawkvision.calibration import shown
from hawkvision.cascade.chain import of_chain
from hawkvision.datasets import LabelledImage
from hawkvision.engines import onnx_runtime
from hawkvision.repository import Repository, Task, read_task, write_task
from hawkvision.taskbuild.build import BuildRequest, Built, Progress, build_task
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.tasks.classification import softmax
from models.recipes.held_out import TARGETS, Flags, held_out, target_rows
from models.recipes.ladder.measure import Floats, answers
from models.recipes.ladder.variants import FILES
from models.recipes.references import add_references

_KEPT = ("parameters", "mmac", "agreement")
"""What an older version knows of a rung that is not measured again."""


def sources(task: Task, path: Path, name: str, before: str) -> tuple[ModelSource, ...]:
    """A task's files with a new one before the rung `before`. Raises RepositoryError."""
    place = task.rungs.index(task.rung(before))
    fit = task.rungs[0].geometry.fit
    files = [(rung.name, rung.model.path) for rung in task.rungs]
    files.insert(place, (name, path))
    return tuple(ModelSource(file, fit=fit, output="logits", name=rung) for rung, file in files)


def reported(task: Task, photos: Sequence[LabelledImage]) -> tuple[Flags, Floats]:
    """Which photos [R,N] each rung answers rightly, and its calibrated confidence in that."""
    right, confidence = [], []
    for rung in task.rungs:
        logits, truth = answers(rung.model.path, rung.geometry, task.kind, photos)
        right.append(logits.argmax(axis=1) == truth)
        confidence.append(softmax(logits, rung.head.temperature).max(axis=1))
    return np.stack(right), np.stack(confidence)


def chain_right(task: Task, right: Flags, confidence: Floats) -> Flags:
    """Which photos [N] the rungs above the first answer rightly, each when it is sure enough."""
    thresholds = [rung.threshold or 0.0 for rung in task.rungs[1:-1]]
    return of_chain(right[1:], confidence[1:], thresholds)


def with_measured(task: Task, old: Task, trained: dict[str, Any], right: Flags) -> Task:
    """The task with what is known of its rungs: from the older version, or from the training."""
    new = {
        "parameters": trained["parameters"],
        "mmac": round(trained["macs"] / 1e6, 1),
        "agreement": trained["int8_fp32_agreement"],
    }
    known = {rung.name: {key: rung.measured[key] for key in _KEPT} for rung in old.rungs}
    rungs = tuple(
        dataclasses.replace(
            rung,
            measured={
                **rung.measured,
                "accuracy": round(float(share), 4),
                **known.get(rung.name, new),
            },
        )
        for rung, share in zip(task.rungs, right.mean(axis=1), strict=True)
    )
    return dataclasses.replace(task, rungs=rungs)


def record(old: Task, built: Built, trained: dict[str, Any], right: Flags, sure: Floats) -> None:
    """Write `training.json`: the older version's, with the new rung and what the chain gives."""
    task = built.task
    kept = json.loads((old.folder / "training.json").read_text())
    kept.pop("flavours", None)
    chain = chain_right(task, right, sure)
    rungs = {**kept["rungs"], trained["rung"]: trained}
    recipes = {**kept["recipes"], trained["rung"]: trained["recipe"]}
    kept |= {
        "recipes": {rung.name: recipes[rung.name] for rung in task.rungs},
        "rungs": {rung.name: rungs[rung.name] for rung in task.rungs},
        "chain": {
            "thresholds": {rung.name: rung.threshold for rung in task.rungs[1:-1]},
            "accuracy_reported_above_the_first": round(float(chain.mean()), 4),
        },
        "notes": list(built.notes),
        "images": {"thresholds": len(built.scores), "report": right.shape[1]},
        "highest_certifiable": shown.floored(built.scores.curve().highest_certifiable, 4),
        "targets_reported": target_rows(built.scores, TARGETS, sure[0], right[0], chain),
        "command": f"python -m models.recipes.lengthen {task.name} {trained['rung']} --data DIR",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "onnxruntime": onnx_runtime().__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (task.folder / "training.json").write_text(json.dumps(kept, indent=2) + "\n")


@click.command()
@click.argument("name")
@click.argument("rung")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--before", default="dc", show_default=True, help="The rung that follows it.")
@click.option("--files", type=click.Path(path_type=Path), default=FILES, help="RUNG.onnx, .json.")
@click.option("--repository", type=click.Path(path_type=Path), default=Path("models/zoo"))
def main(
    name: str, rung: str, data: Path | None, before: str, files: Path, repository: Path
) -> None:
    """Publish the next version of task NAME with RUNG in its chain."""
    old = Repository(repository).open(name)
    trained = json.loads((files / f"{rung}.json").read_text())
    calibrating, reporting = held_out(name, data)
    request = BuildRequest(
        name=name,
        models=sources(old, files / f"{rung}.onnx", rung, before),
        images=calibrating,
        aliases=dict(old.aliases),
        description=old.description,
        threads=1,
    )
    built = build_task(request, repository, Progress())
    right, confidence = reported(built.task, list(reporting))
    write_task(with_measured(read_task(built.task.folder), old, trained, right))
    record(old, built, trained, right, confidence)
    task = add_references(read_task(built.task.folder), "onnx")
    for one in task.rungs:
        click.echo(f"{one.name}: {dict(one.measured)}, answers from {one.threshold}")
    click.echo(
        f"{name} {task.version}: highest certified {built.scores.curve().highest_certifiable}"
    )


if __name__ == "__main__":
    main()
