"""`python -m models.recipes.strangers`: each model calibrated, served by `up`, and evaluated."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hawkvision.datasets import LabelledSet, open_labelled, order
from models.recipes.strangers.exports import EDGES, Photos, torch_external

TARGET = "0.90"


def hawkvision(*words: str) -> None:
    """Run one command of HawkVision in a process of its own. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "hawkvision.cli", *words], check=True)


def lay_out(images: LabelledSet, folder: Path) -> Path:
    """The images as class folders below `folder`."""
    for image in images:
        path = folder / image.label / Path(image.name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data)
    return folder


def evaluated(repository: Path, task: str, photos: Path, targets: str, out: Path) -> Any:
    """The rows of `hawkvision evaluate` against a running `hawkvision up`."""
    words = ["up", "--task", task, "--model-repository", str(repository)]
    up = subprocess.Popen(
        [sys.executable, "-m", "hawkvision.cli", *words, "--port", "0", "--gateway-port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        said = next((line for line in up.stdout if line.startswith("try:")), "")
        if not said:
            raise click.ClickException(f"{task}: `hawkvision up` did not start")
        url = said.split("'")[1].split("/v1/")[0]
        words = ["--url", url, "--accuracy", targets, "--json", str(out), "--concurrency", "2"]
        hawkvision("evaluate", "--data", str(photos), *words)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)
    return json.loads(out.read_text())["results"]


def run(
    name: str, dc: str, photos: Photos, data: Path, out: Path, limit: int | None
) -> dict[str, Any]:
    """One edge model from its export to its figures."""
    folder = out / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    edge = EDGES[name](folder, photos)
    figures = out / f"{name}.calibration.json"
    words = ["--edge", edge, "--dc", dc, "--data", str(data / "calibrate"), "--name", name]
    words += ["--restrict-to-data", "--loss-levels", "0", "--json", str(figures)]
    words += [] if limit is None else ["--limit", str(limit)]
    hawkvision("calibrate", *words, "--out", str(out / "tasks"))
    body = json.loads(figures.read_text())
    targets = f"{TARGET},relative:0.02"
    rows = evaluated(out / "tasks", name, data / "report", targets, out / f"{name}.json")
    return {"name": name, "calibration": body, "rows": rows}


def table(found: list[dict[str, Any]]) -> Table:
    """What was certified and what was delivered."""
    made = Table(
        "edge", "edge alone", "dc alone", "certified to", "asked", "delivered", "escalated"
    )
    for one in found:
        alone = {row["name"]: row["accuracy"] for row in one["calibration"]["alone"]}
        for row in one["rows"]:
            made.add_row(
                one["name"],
                *(f"{share:.3f}" for share in alone.values()),
                f"{one['calibration']['highest_certifiable']:.3f}",
                str(row["target"]),
                "refused" if row["achieved"] is None else f"{row['achieved']:.3f}",
                "" if row["escalation_rate"] is None else f"{row['escalation_rate']:.0%}",
            )
    return made


@click.command()
@click.option("--data", required=True, envvar="HAWKVISION_DATA", type=click.Path(path_type=Path))
@click.option("--out", default=Path("build/strangers"), type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(100), help="Images to calibrate with.")
@click.option("--only", multiple=True, type=click.Choice(sorted(EDGES)), help="Of the edge models.")
def main(data: Path, out: Path, limit: int | None, only: tuple[str, ...]) -> None:
    """Bring other people's models to served tasks; DATA is a folder or tar with train and val."""
    source = data / "imagenette.tar.gz" if (data / "imagenette.tar.gz").is_file() else data
    held = open_labelled(source, "val")
    calibrate, report = order.thirds(held.members)
    folder = out / "photos"
    if not folder.is_dir():
        lay_out(held.part(calibrate), folder / "calibrate")
        lay_out(held.part(report), folder / "report")
    photos = Photos(open_labelled(source, "train"))
    models = out / "models" / "dc"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    dc = torch_external(models, photos)
    figures = out / "figures.json"
    found = {}
    if figures.is_file():
        found = {one["name"]: one for one in json.loads(figures.read_text())}
    for name in only or EDGES:
        found[name] = run(name, dc, photos, folder, out, limit)
        rows = [found[edge] for edge in EDGES if edge in found]
        figures.write_text(json.dumps(rows, indent=2))
    Console().print(table([found[edge] for edge in EDGES if edge in found]))


if __name__ == "__main__":
    main()
