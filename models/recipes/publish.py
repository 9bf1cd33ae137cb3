"""Quantize, calibrate and publish a task: `python -m models.recipes.publish imagenette --data …`.

Held-out images are unseen in training. Two thirds of them (by the hash of their names; of drawn
ones half) go through the same calibration as anybody's models, `hawkvision calibrate`; the rest
only reports.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import numpy.typing as npt
import onnx
import torch
from rich.console import Console

from hawkvision.calibration import shown
from hawkvision.engines import open_engine
from hawkvision.images import InputGeometry, decode, fit
from hawkvision.repository import Rung, Task, read_task, write_task
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.tasks.classification import expected_calibration_error, softmax
from models.recipes.export import Image, export_int8, load_net
from models.recipes.held_out import TARGETS, held_out, show, target_rows
from models.recipes.nets import ResidualNet
from models.recipes.samples import Sample, training_samples
from models.recipes.specs import RECIPES, Recipe
from models.recipes.train import to_tensor

QUANTIZATION_IMAGES = 256
LEAST_AGREEMENT = 0.95
"""Share of images on which int8 must answer as the float network does; less means a fault."""

Fit = Literal["cover", "stretch"]


@dataclass(frozen=True)
class Published:
    """What a task shows to people, and which of its rungs average mirror images."""

    description: str
    fit: Fit
    mirrored: tuple[str, ...]
    names: dict[str, str]


PUBLISHED = {
    "imagenette": Published(
        "Ten classes of real photos (Imagenette).",
        "cover",
        ("medium", "dc"),
        {
            "n01440764": "tench",
            "n02102040": "English springer",
            "n02979186": "cassette player",
            "n03000684": "chain saw",
            "n03028079": "church",
            "n03394916": "French horn",
            "n03417042": "garbage truck",
            "n03425413": "gas pump",
            "n03445777": "golf ball",
            "n03888257": "parachute",
        },
    ),
    "roadsigns": Published(
        "European road signs as a roadside camera sees them (drawn, not photographed).",
        "stretch",
        (),
        {},
    ),
}


def pixels(images: list[bytes], geometry: InputGeometry) -> Iterator[Image]:
    """Each image as the product prepares it."""
    side = max(geometry.width, geometry.height)
    for data in images:
        yield fit(decode(data, min_side=side), geometry)


@dataclass(frozen=True)
class Exported:
    """A rung's int8 file, and the float network that it came from."""

    recipe: Recipe
    path: Path
    net: ResidualNet
    mirror: bool

    @property
    def geometry(self) -> InputGeometry:
        """Its input."""
        side = self.recipe.input_size
        return InputGeometry(side, side, PUBLISHED[self.recipe.task].fit)


def export_rung(
    recipe: Recipe, labels: list[str], train: list[Sample], checkpoints: Path, folder: Path
) -> Exported:
    """Export and quantize one rung into `folder`."""
    published = PUBLISHED[recipe.task]
    mirror = recipe.rung in published.mirrored
    net = load_net(recipe, len(labels), checkpoints / recipe.task / f"{recipe.rung}.pt")
    exported = Exported(recipe, folder / f"{recipe.rung}.onnx", net, mirror)
    order = np.random.default_rng(recipe.seed).permutation(len(train))
    chosen = [train[index].jpeg for index in order[:QUANTIZATION_IMAGES]]
    with tempfile.TemporaryDirectory() as scratch:
        model = export_int8(
            net,
            recipe.input_size,
            pixels(chosen, exported.geometry),
            Path(scratch),
            mirror=mirror,
            labels=labels,
        )
        onnx.save(model, exported.path)
    return exported


def float_guesses(exported: Exported, images: list[bytes]) -> npt.NDArray[np.int64]:
    """Classes [N] that the float network answers, the reference for what int8 costs."""
    out = []
    with torch.no_grad():
        for start in range(0, len(images), 32):
            x = to_tensor(np.stack(list(pixels(images[start : start + 32], exported.geometry))))
            net = exported.net
            logits = (net(x) + net(x.flip(3))) / 2 if exported.mirror else net(x)
            out.append(logits.argmax(dim=1).numpy())
    return np.concatenate(out)


@dataclass(frozen=True)
class Reported:
    """A rung's answers on the report part, and what is recorded of it."""

    right: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float32]
    record: dict[str, Any]


def report_rung(
    exported: Exported,
    rung: Rung,
    images: list[bytes],
    labels: npt.NDArray[np.int32],
    checkpoints: Path,
) -> Reported:
    """Run the served file over the report part."""
    engine = open_engine(rung.model, threads=1)
    logits = np.concatenate(
        [
            rung.head.logits(next(iter(engine.infer(image[None].transpose(0, 3, 1, 2)).values())))
            for image in pixels(images, rung.geometry)
        ]
    )
    engine.close()
    guess = logits.argmax(axis=1)
    exact = float_guesses(exported, images)
    agreement = float((guess == exact).mean())
    recipe = exported.recipe
    if agreement < LEAST_AGREEMENT:
        raise click.ClickException(
            f"{recipe.task}/{recipe.rung}: int8 agrees with fp32 on only {agreement:.1%} of images"
        )
    temperature = rung.head.temperature
    training = json.loads((checkpoints / recipe.task / f"{recipe.rung}.json").read_text())
    record = {
        **training,
        "mirror_averaging": exported.mirror,
        "images_reported": len(labels),
        "accuracy_reported": round(float((guess == labels).mean()), 4),
        "fp32_accuracy_reported": round(float((exact == labels).mean()), 4),
        "accuracy_calibrating": rung.measured["accuracy"],
        "int8_fp32_agreement": round(agreement, 4),
        "temperature": temperature,
        "ece_before": round(expected_calibration_error(logits, labels, 1.0), 4),
        "ece_after": round(expected_calibration_error(logits, labels, temperature), 4),
    }
    return Reported(guess == labels, softmax(logits, temperature).max(axis=1), record)


def with_records(task: Task, reported: dict[str, Reported]) -> Task:
    """The task with parameters and multiply-adds among what was measured of its rungs."""
    rungs = []
    for rung in task.rungs:
        record = reported[rung.name].record
        twice = 2 if record["mirror_averaging"] else 1
        measured = {
            **rung.measured,
            "accuracy": record["accuracy_reported"],
            "parameters": record["parameters"],
            "mmac": round(record["macs"] / 1e6 * twice, 1),
            "agreement": record["int8_fp32_agreement"],
        }
        rungs.append(dataclasses.replace(rung, measured=measured))
    return dataclasses.replace(task, rungs=tuple(rungs))


@click.command()
@click.argument("task", type=click.Choice(sorted(PUBLISHED)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--checkpoints", type=click.Path(path_type=Path), default=Path("build/train"))
@click.option("--repository", type=click.Path(path_type=Path), default=Path("models/zoo"))
def main(task: str, data: Path | None, checkpoints: Path, repository: Path) -> None:
    """Publish TASK from its checkpoints as the next version in a model repository."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    classes, train = training_samples(task, data)
    published = PUBLISHED[task]
    labels = [published.names.get(label, label) for label in classes]
    calibrating, reporting = held_out(task, data)
    with tempfile.TemporaryDirectory() as scratch:
        exported = {
            name: export_rung(RECIPES[task, name], labels, train, checkpoints, Path(scratch))
            for name in ("edge", "dc")
        }
        console.print(f"{task}: calibrating on {len(calibrating)} images …")
        sources = tuple(
            ModelSource(item.path, fit=published.fit, output="logits", name=name)
            for name, item in exported.items()
        )
        request = BuildRequest(
            name=task,
            models=sources,
            images=calibrating,
            aliases=dict(published.names),
            description=published.description,
            threads=1,
        )
        built = build_task(request, repository, Progress())
    images = list(reporting)
    truth = np.array([built.task.kind.truth(image.label) for image in images], np.int32)
    console.print(f"{task}: reporting on {len(images)} images …")
    reported = {
        name: report_rung(
            exported[name],
            built.task.rung(name),
            [image.data for image in images],
            truth,
            checkpoints,
        )
        for name in exported
    }
    folder = built.task.folder
    write_task(with_records(read_task(folder), reported))
    import onnxruntime

    edge, dc = reported["edge"], reported["dc"]
    rows = target_rows(built.scores, TARGETS, edge.confidence, edge.right, dc.right)
    record = {
        "task": task,
        "recipes": {name: dataclasses.asdict(RECIPES[task, name]) for name in exported},
        "rungs": {name: item.record for name, item in reported.items()},
        "notes": list(built.notes),
        "images": {"thresholds": len(built.scores), "report": len(images)},
        "highest_certifiable": shown.floored(built.scores.curve().highest_certifiable, 4),
        "targets_reported": rows,
        "command": f"python -m models.recipes.publish {task}" + (" --data DIR" if data else ""),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "onnxruntime": onnxruntime.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    show(read_task(folder), rows)


if __name__ == "__main__":
    main()
