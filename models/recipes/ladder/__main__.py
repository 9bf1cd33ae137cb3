"""Write the ladder's files: `python -m models.recipes.ladder --out DIR --precision fp32`.

Nothing is trained: every file is made of a published int8 network. `ladder.json` beside the files
says what each is worth and costs. Costs are measured here and now. Accuracies are, too, where the
photos are (`--data`, or imagenette.tar.gz in $HAWKVISION_DATA); else those recorded for the same
network are taken, and the file says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any, cast

import click
import onnx

from hawkvision.engines import onnx_runtime
from hawkvision.repository import Repository, Task, shipped_repository
from models.recipes.floats import parameters
from models.recipes.held_out import held_out
from models.recipes.ladder.measure import accuracies, costs, geometry_of
from models.recipes.ladder.variants import (
    FILES,
    TASK,
    VARIANTS,
    Precision,
    Variant,
    int8_file,
)

_WORTH = (
    "accuracy",
    "accuracy_calibrating",
    "accuracy_all",
    "images",
    "images_calibrating",
    "temperature",
)


def write(variant: Variant, task: Task, precision: Precision, out: Path) -> dict[str, Any]:
    """Write one variant's file; returns what is known of it without running it."""
    source = int8_file(task, variant.rung)
    model = variant.model(source, precision)
    path = out / f"{variant.name}.{precision}.onnx"
    onnx.save(model, path)
    return {
        "name": variant.name,
        "file": path.name,
        "precision": precision,
        "parameters": parameters(onnx.load(source)),
        "kilobytes": round(path.stat().st_size / 1e3, 1),
        "input_side": geometry_of(path).width,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }


def recorded(row: dict[str, Any]) -> dict[str, Any]:
    """The accuracies kept for a variant of the same int8 file; None where there are none."""
    path = FILES / f"{row['precision']}.json"
    kept = json.loads(path.read_text())["variants"] if path.exists() else []
    same = ("name", "source_sha256")
    found = [one for one in kept if all(one[key] == row[key] for key in same)]
    return {key: found[0][key] if found else None for key in _WORTH}


def photos(data: Path | None) -> Path | None:
    """The photos that were named, or those in $HAWKVISION_DATA, if there are any."""
    folder = os.environ.get("HAWKVISION_DATA")
    path = data or (Path(folder) / f"{TASK}.tar.gz" if folder else None)
    return path if path is not None and path.exists() else None


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option("--only", multiple=True, type=click.Choice([one.name for one in VARIANTS]))
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
def main(out: Path, precision: str, only: tuple[str, ...], data: Path | None) -> None:
    """Write the ladder of imagenette's variants, from small to large, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    task = Repository(shipped_repository()).open(TASK)
    source = photos(data)
    if source is None:
        click.echo("no photos: accuracies are those recorded (--data or HAWKVISION_DATA)", err=True)
    rows = []
    for variant in VARIANTS:
        if only and variant.name not in only:
            continue
        row = write(variant, task, cast(Precision, precision), out)
        path = out / row["file"]
        worth = accuracies(path, task.kind, *held_out(TASK, source)) if source else recorded(row)
        rows.append({**row, **worth, **costs(path, precision)})
        show(rows[-1])
    record = {
        "task": TASK,
        "precision": precision,
        "labels": list(task.kind.labels),
        "input": {"layout": "NHWC", "dtype": "uint8", "fit": "cover"},
        "accuracy_measured": source is not None,
        "variants": rows,
        "command": f"python -m models.recipes.ladder --out DIR --precision {precision}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
        "onnxruntime": onnx_runtime().__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (out / "ladder.json").write_text(json.dumps(record, indent=2) + "\n")


def show(row: dict[str, Any]) -> None:
    """One line of a variant."""
    accuracy = "not measured" if row["accuracy"] is None else f"{row['accuracy']:.2%} right"
    click.echo(
        f"{row['name']:>10} {row['precision']} {row['input_side']} px, {row['kilobytes']} kB, "
        f"{accuracy}, {row['milliseconds']} ms, {row['memory_mb']} MB, "
        f"loads in {row['load_milliseconds']} ms"
    )


if __name__ == "__main__":
    main()
