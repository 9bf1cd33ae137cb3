"""From a checkpoint to one of the ladder's files: `python -m models.recipes.ladder.export tiny`.

As `publish` does it for a task's rungs: ranges from 256 training photos, and the int8 file has to
answer as the float network does. What was trained and measured goes into a JSON file beside it.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import click
import numpy as np
import onnx
import torch

from hawkvision.repository import Repository, shipped_repository
from hawkvision.taskbuild.symmetric import symmetric
from models.recipes.held_out import held_out
from models.recipes.ladder.measure import accuracies, answers
from models.recipes.ladder.variants import FILES, TASK
from models.recipes.publish import LEAST_AGREEMENT, export_rung, float_guesses
from models.recipes.samples import training_samples
from models.recipes.specs import RECIPES


@click.command()
@click.argument("name", type=click.Choice([rung for task, rung in RECIPES if task == TASK]))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--checkpoints", type=click.Path(path_type=Path), default=Path("build/train"))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=FILES)
@click.option("--tensorrt", type=click.Path(path_type=Path), help="Also write TensorRT's flavour.")
def main(name: str, data: Path, checkpoints: Path, out: Path, tensorrt: Path | None) -> None:
    """Export the checkpoint NAME as an int8 file of the ladder."""
    torch.set_num_threads(1)
    task = Repository(shipped_repository()).open(TASK)
    calibrating, reporting = held_out(TASK, data)
    photos = list(reporting)
    with tempfile.TemporaryDirectory() as scratch:
        _, train = training_samples(TASK, data)
        labels = list(task.kind.labels)
        exported = export_rung(RECIPES[TASK, name], labels, train, checkpoints, Path(scratch))
        logits, truth = answers(exported.path, exported.geometry, task.kind, photos)
        exact = float_guesses(exported, [photo.data for photo in photos])
        agreement = float((logits.argmax(axis=1) == exact).mean())
        if agreement < LEAST_AGREEMENT:
            raise click.ClickException(f"{name}: int8 agrees with fp32 on only {agreement:.1%}")
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{name}.onnx"
        shutil.copyfile(exported.path, path)
    trained = json.loads((checkpoints / TASK / f"{name}.json").read_text())
    record = {
        **trained,
        "mirror_averaging": exported.mirror,
        "recipe": dataclasses.asdict(RECIPES[TASK, name]),
        **accuracies(path, task.kind, calibrating, photos),
        "fp32_accuracy": round(float((exact == truth).mean()), 4),
        "int8_fp32_agreement": round(agreement, 4),
    }
    if tensorrt is not None:
        onnx.save(symmetric(onnx.load(path)), tensorrt)
        said = answers(tensorrt, exported.geometry, task.kind, photos)[0].argmax(axis=1)
        record["tensorrt"] = {
            "accuracy": round(float((said == truth).mean()), 4),
            "same_label": round(float(np.mean(said == logits.argmax(axis=1))), 4),
        }
    (out / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    click.echo(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
