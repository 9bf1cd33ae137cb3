"""Quantize, calibrate and publish a task: `python -m models.recipes.publish imagenette --data …`.

Held-out images are split by name, unseen by training: the first half calibrates, the second
reports. Of the calibrating half every seventh fits the temperatures; only the rest are kept for
the thresholds, so that their test sees neither a temperature nor a grid that was fitted on them.
"""

from __future__ import annotations

import dataclasses
import hashlib
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
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from hawkvision.calibration import CalibrationScores, expected_calibration_error, fit_temperature
from hawkvision.cascade import softmax
from hawkvision.datasets import open_labelled
from hawkvision.engines import Engine, ModelSpec, open_engine
from hawkvision.images import InputGeometry, decode, fit
from hawkvision.repository import Rung, Task, write_task
from models.recipes.export import Image, export_int8, load_net
from models.recipes.samples import Sample, training_samples
from models.recipes.specs import RECIPES, Recipe
from models.recipes.train import to_tensor

TEMPERATURE_EVERY = 7
QUANTIZATION_IMAGES = 256
LEAST_AGREEMENT = 0.95
"""Share of images on which int8 must answer as the float network does; less means a fault."""
ROADSIGNS_SEEDS = {"calibrate": 2, "report": 3}
ROADSIGNS_IMAGES = 4000
TARGETS = (0.80, 0.82, 0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97)

Fit = Literal["cover", "stretch"]


@dataclass(frozen=True)
class Published:
    """What a task shows to people, and whether its large rung averages mirror images."""

    description: str
    fit: Fit
    mirror_dc: bool
    names: dict[str, str]


PUBLISHED = {
    "imagenette": Published(
        "Ten classes of real photos (Imagenette).",
        "cover",
        True,
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
        False,
        {},
    ),
}


@dataclass(frozen=True)
class Held:
    """Held-out images in a fixed order: encoded bytes and class, and which half each is in."""

    samples: list[Sample]
    calibrate: npt.NDArray[np.bool_]
    temperature: npt.NDArray[np.bool_]

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """Classes, int32 [N]."""
        return np.array([sample.class_id for sample in self.samples], np.int32)


def held_out(task: str, data: Path | None, classes: list[str]) -> Held:
    """The images that no rung was trained on."""
    if task == "roadsigns":
        from hawkvision.datasets import roadsigns

        samples = [
            Sample(drawn.jpeg, drawn.class_id)
            for seed in ROADSIGNS_SEEDS.values()
            for drawn in roadsigns.stream(ROADSIGNS_IMAGES, seed=seed)
        ]
    else:
        if data is None:
            raise click.UsageError(f"task {task} needs --data")
        index = {label: i for i, label in enumerate(classes)}
        named = sorted(
            open_labelled(data, "val"),
            key=lambda image: hashlib.sha256(Path(image.name).name.encode()).digest(),
        )
        samples = [Sample(image.data, index[image.label]) for image in named]
    position = np.arange(len(samples))
    calibrate = position < len(samples) // 2
    return Held(samples, calibrate, calibrate & (position % TEMPERATURE_EVERY == 0))


def pixels(samples: list[Sample], geometry: InputGeometry) -> Iterator[Image]:
    """Each image as the product prepares it."""
    side = max(geometry.width, geometry.height)
    for sample in samples:
        yield fit(decode(sample.jpeg, min_side=side), geometry)


def engine_logits(
    engine: Engine, samples: list[Sample], geometry: InputGeometry
) -> npt.NDArray[np.float32]:
    """Logits [N,K] of the served file, 16 images at a time."""
    out = []
    for start in range(0, len(samples), 16):
        batch = np.stack(list(pixels(samples[start : start + 16], geometry)))
        out.append(engine.infer(batch.transpose(0, 3, 1, 2)))
    return np.concatenate(out)


def median_ms(engine: Engine, geometry: InputGeometry, runs: int = 200) -> float:
    """Median time of one image on one thread, in milliseconds."""
    image = np.random.default_rng(0).integers(
        0, 255, (1, geometry.height, geometry.width, 3), np.uint8
    )
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        engine.infer(image.transpose(0, 3, 1, 2))
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


@dataclass(frozen=True)
class BuiltRung:
    """A rung as it will be served, and its logits on the held-out images."""

    rung: Rung
    logits: npt.NDArray[np.float32]
    record: dict[str, Any]


def build_rung(
    recipe: Recipe, classes: int, train: list[Sample], held: Held, checkpoints: Path, folder: Path
) -> BuiltRung:
    """Export, quantize, measure one rung into `folder`."""
    published = PUBLISHED[recipe.task]
    mirror = published.mirror_dc and recipe.rung == "dc"
    geometry = InputGeometry(recipe.input_size, recipe.input_size, published.fit)
    net = load_net(recipe, classes, checkpoints / recipe.task / f"{recipe.rung}.pt")
    order = np.random.default_rng(recipe.seed).permutation(len(train))
    chosen = [train[index] for index in order[:QUANTIZATION_IMAGES]]
    path = folder / f"{recipe.rung}.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        model = export_int8(
            net, recipe.input_size, pixels(chosen, geometry), Path(scratch), mirror=mirror
        )
        onnx.save(model, path)
    spec = ModelSpec(path, "NHWC", "uint8", precision="int8")
    engine = open_engine(spec, threads=1)
    logits = engine_logits(engine, held.samples, geometry)
    labels = held.labels
    fitted = held.temperature
    temperature = fit_temperature(logits[fitted], labels[fitted])
    training = json.loads((checkpoints / recipe.task / f"{recipe.rung}.json").read_text())
    report = ~held.calibrate
    exact = float_logits(net, held.samples, geometry, mirror).argmax(axis=1)
    guess = logits.argmax(axis=1)
    agreement = float((guess == exact).mean())
    if agreement < LEAST_AGREEMENT:
        raise click.ClickException(
            f"{recipe.task}/{recipe.rung}: int8 agrees with fp32 on only {agreement:.1%} of images"
        )
    record = {
        **training,
        "mirror_averaging": mirror,
        "images_per_half": int(report.sum()),
        "accuracy_calibration_half": _share(guess == labels, held.calibrate),
        "accuracy_report_half": _share(guess == labels, report),
        "fp32_accuracy_calibration_half": _share(exact == labels, held.calibrate),
        "fp32_accuracy_report_half": _share(exact == labels, report),
        "int8_fp32_agreement": round(agreement, 4),
        "temperature": round(temperature, 4),
        "ece_before": round(expected_calibration_error(logits[report], labels[report], 1.0), 4),
        "ece_after": round(
            expected_calibration_error(logits[report], labels[report], temperature), 4
        ),
    }
    measured = {
        "accuracy": record["accuracy_report_half"],
        "milliseconds": round(median_ms(engine, geometry), 3),
        "kilobytes": round(path.stat().st_size / 1000, 1),
        "parameters": training["parameters"],
        "mmac": round(training["macs"] / 1e6 * (2 if mirror else 1), 1),
        "agreement": record["int8_fp32_agreement"],
    }
    engine.close()
    rung = Rung(recipe.rung, spec, "", geometry, round(temperature, 4), measured)
    return BuiltRung(rung, logits, record)


def _share(right: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float:
    return round(float(right[among].mean()), 4)


def float_logits(
    net: torch.nn.Module, samples: list[Sample], geometry: InputGeometry, mirror: bool
) -> npt.NDArray[np.float32]:
    """Logits [N,K] of the float network, the reference for what int8 costs."""
    out = []
    with torch.no_grad():
        for start in range(0, len(samples), 32):
            x = to_tensor(np.stack(list(pixels(samples[start : start + 32], geometry))))
            logits = (net(x) + net(x.flip(3))) / 2 if mirror else net(x)
            out.append(logits.numpy())
    return np.concatenate(out)


def default_accuracy(scores: CalibrationScores) -> float:
    """The highest multiple of 0.05 that is certified with at most 60 % escalation."""
    curve = scores.curve()
    fitting = [
        step / 20
        for step in range(1, 20)
        if step / 20 <= curve.highest_certifiable
        and curve.escalation_rate[curve.index_for(step / 20)] <= 0.6
    ]
    return fitting[-1]


def target_rows(
    scores: CalibrationScores, edge: BuiltRung, dc: BuiltRung, held: Held
) -> list[dict[str, Any]]:
    """For each target: threshold, and what it gives on the report half."""
    curve = scores.curve()
    report = ~held.calibrate
    confidence = softmax(edge.logits, edge.rung.temperature).max(axis=1)[report]
    edge_right = (edge.logits.argmax(axis=1) == held.labels)[report]
    dc_right = (dc.logits.argmax(axis=1) == held.labels)[report]
    rows: list[dict[str, Any]] = []
    for target in TARGETS:
        if target > curve.highest_certifiable:
            rows.append({"target": target, "certified": False})
            continue
        threshold = curve.threshold_for(target)
        local = confidence >= threshold
        right = np.where(local, edge_right, dc_right)
        interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, "exact")
        rows.append(
            {
                "target": target,
                "certified": True,
                "threshold": round(threshold, 4),
                "achieved": round(float(right.mean()), 4),
                "ci_low": round(float(interval.low), 4),
                "ci_high": round(float(interval.high), 4),
                "escalation_rate": round(float(1 - local.mean()), 4),
            }
        )
    return rows


@click.command()
@click.argument("task", type=click.Choice(sorted(PUBLISHED)))
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--checkpoints", type=click.Path(path_type=Path), default=Path("build/train"))
@click.option("--repository", type=click.Path(path_type=Path), default=Path("models/zoo"))
@click.option("--version", default="1", show_default=True)
def main(task: str, data: Path | None, checkpoints: Path, repository: Path, version: str) -> None:
    """Publish TASK from its checkpoints as a version of a model repository."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    folder = repository / task / version
    folder.mkdir(parents=True, exist_ok=True)
    classes, train = training_samples(task, data)
    held = held_out(task, data, classes)
    built = {}
    for name in ("edge", "dc"):
        console.print(f"{task}/{name}: quantize and measure on {len(held.samples)} images …")
        recipe = RECIPES[task, name]
        built[name] = build_rung(recipe, len(classes), train, held, checkpoints, folder)
    edge, dc = built["edge"], built["dc"]
    kept = held.calibrate & ~held.temperature
    scores = CalibrationScores(
        confidence=softmax(edge.logits, edge.rung.temperature).max(axis=1)[kept],
        label=held.labels[kept],
        edge_class=edge.logits.argmax(axis=1)[kept].astype(np.int32),
        dc_class=dc.logits.argmax(axis=1)[kept].astype(np.int32),
    )
    scores.save(folder / "calibration.npz")
    published = PUBLISHED[task]
    names = published.names
    write_task(
        Task(
            name=task,
            version=version,
            description=published.description,
            labels=tuple(names.get(label, label) for label in classes),
            default_accuracy=default_accuracy(scores),
            rungs=(edge.rung, dc.rung),
            calibration=folder / "calibration.npz",
            calibration_sha256="",
            aliases=names,
            folder=folder,
        )
    )
    rows = target_rows(scores, edge, dc, held)
    record = {
        "task": task,
        "recipes": {n: dataclasses.asdict(RECIPES[task, n]) for n in built},
        "rungs": {name: item.record for name, item in built.items()},
        "images": {
            "temperature": int(held.temperature.sum()),
            "thresholds": int(kept.sum()),
            "report": int((~held.calibrate).sum()),
        },
        "highest_certifiable": round(scores.curve().highest_certifiable, 4),
        "targets_on_report_half": rows,
        "command": f"python -m models.recipes.publish {task}" + (" --data DIR" if data else ""),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "onnxruntime": onnxruntime.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    show(task, built, rows)


def show(task: str, built: dict[str, BuiltRung], rows: list[dict[str, Any]]) -> None:
    """Print what was published."""
    table = Table("target", "threshold", "escalated", "achieved", "95 % interval", title=task)
    for row in rows:
        if not row["certified"]:
            table.add_row(f"{row['target']:.2f}", "not certifiable", "", "", "")
            continue
        table.add_row(
            f"{row['target']:.2f}",
            f"{row['threshold']:.3f}",
            f"{row['escalation_rate']:.1%}",
            f"{row['achieved']:.3f}",
            f"{row['ci_low']:.3f} to {row['ci_high']:.3f}",
        )
    console = Console()
    console.print(table)
    for name, item in built.items():
        console.print(name, dict(item.rung.measured))


if __name__ == "__main__":
    main()
