"""Give a published task a rung between its edge and its data center.

`python -m models.recipes.middle imagenette --rung medium.onnx --data …` makes the next version of
the same files and one more, certified anew as one chain; what is reported are images that neither
trained nor calibrated. `models.recipes.tensorrt` then adds the files for TensorRT.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from hawkvision.calibration import shown
from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.chain import of_chain
from hawkvision.datasets import LabelledSet
from hawkvision.repository import Repository, Task, read_task, shipped_repository, write_task
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.runs import outputs_of
from hawkvision.taskbuild.sources import ModelSource
from models.recipes.held_out import TARGETS, held_out, show, target_rows
from models.recipes.references import add_references

_KEPT = ("parameters", "mmac", "agreement")
"""Of what was measured of a rung that stays as it is."""


def reported(task: Task, images: LabelledSet) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Each rung's errors and confidences [R,N] on images that only report."""
    truths = [task.kind.truth(image.label) for image in images]
    errors, confidences = [], []
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind)
        try:
            found = task.kind.read(outputs_of(loaded, list(images), 1), rung.head, ())
        finally:
            loaded.close()
        errors.append([task.kind.loss(*pair) for pair in zip(found, truths, strict=True)])
        confidences.append([one.confidence for one in found])
    return np.array(errors, np.float32), np.array(confidences, np.float32)


def with_records(
    task: Task, before: Task, errors: npt.NDArray[Any], record: dict[str, Any]
) -> Task:
    """The task with accuracies as reported, and what is known of its networks."""
    rungs = []
    for rung, wrong in zip(task.rungs, errors, strict=True):
        known = {one.name: one.measured for one in before.rungs}.get(rung.name, record)
        kept = {key: known[key] for key in _KEPT if key in known}
        accuracy = {"accuracy": round(1 - float(wrong.mean()), 4)}
        rungs.append(replace(rung, measured={**rung.measured, **accuracy, **kept}))
    return replace(task, rungs=tuple(rungs))


def middle_record(path: Path) -> dict[str, Any]:
    """What training said of the network, beside its file; without, nothing is known."""
    beside = path.with_suffix(".json")
    record: dict[str, Any] = json.loads(beside.read_text()) if beside.exists() else {}
    if "macs" in record:
        views = 2 if record.get("mirror_averaging") else 1
        record["mmac"] = round(views * record["macs"] / 1e6, 1)
    if "int8_fp32_agreement" in record:
        record["agreement"] = record["int8_fp32_agreement"]
    return record


def training_record(
    task: Task,
    before: Task,
    record: dict[str, Any],
    scores: CalibrationScores,
    found: tuple[npt.NDArray[Any], npt.NDArray[Any]],
) -> dict[str, Any]:
    """`training.json` of the version before, with one rung more and figures of the new chain."""
    errors, confidence = found
    chain = of_chain(errors[1:], confidence[1:], list(task.thresholds[1:-1]))
    kept: dict[str, Any] = json.loads((before.folder / "training.json").read_text())
    kept.pop("flavours", None)
    rungs: dict[str, Any] = {}
    for rung, wrong in zip(task.rungs, errors, strict=True):
        rungs[rung.name] = {
            **kept["rungs"].get(rung.name, record),
            "images_reported": len(wrong),
            "accuracy_reported": round(1 - float(wrong.mean()), 4),
            "temperature": rung.head.temperature,
            **({} if rung.threshold is None else {"threshold": rung.threshold}),
        }
    rows = target_rows(scores, TARGETS, confidence[0], errors[0] == 0, chain == 0)
    return {
        **kept,
        "rungs": rungs,
        "images": {"thresholds": len(scores), "report": errors.shape[1]},
        "highest_certifiable": shown.floored(scores.curve().highest_certifiable, 4),
        "chain_accuracy_reported": round(1 - float(chain.mean()), 4),
        "targets_reported": rows,
        "command": f"python -m models.recipes.middle {task.name} --rung FILE --data DIR",
        "date": time.strftime("%Y-%m-%d"),
    }


@click.command()
@click.argument("task")
@click.option("--rung", "file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", default="medium", show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--repository", type=click.Path(path_type=Path), default=shipped_repository)
def main(task: str, file: Path, name: str, data: Path | None, repository: Path) -> None:
    """Publish the next version of TASK, with one rung more."""
    before = Repository(repository).open(task)
    fit = before.rungs[0].geometry.fit
    files = [(rung.name, rung.model.path) for rung in before.rungs if rung.name != name]
    files.insert(1, (name, file))
    calibrating, reporting = held_out(task, data)
    built = build_task(
        BuildRequest(
            name=task,
            models=tuple(
                ModelSource(path, fit=fit, output="logits", name=rung) for rung, path in files
            ),
            images=calibrating,
            aliases=dict(before.aliases),
            description=before.description,
            threads=1,
        ),
        repository,
        Progress(),
    )
    made, record = add_references(built.task, "onnx"), middle_record(file)
    found = reported(made, reporting)
    write_task(with_records(made, before, found[0], record))
    made = read_task(made.folder)
    said = training_record(made, before, record, built.scores, found)
    (made.folder / "training.json").write_text(json.dumps(said, indent=2) + "\n")
    for note in built.notes:
        click.echo(note)
    show(made, said["targets_reported"])


if __name__ == "__main__":
    main()
