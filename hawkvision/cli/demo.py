"""`hawkvision demo`: start both sides, send labelled images at several targets, show the table."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from hawkvision.calibration import LowerConfidenceCurve, shown
from hawkvision.cli.evaluate import evaluate, show
from hawkvision.cli.output import screen, write_json
from hawkvision.cli.processes import Child, stop_all
from hawkvision.engines import check_onnx_runtime
from hawkvision.errors import DatasetError
from hawkvision.repository import Repository, Task, shipped_repository
from hawkvision.taskbuild.traffic import DRAWN

_STOP_AFTER_S = 120.0
_TARGETS = 4


def spread_targets(curve: LowerConfidenceCurve) -> list[float]:
    """Targets from "all at the edge" to the highest certifiable one, and one out of reach."""
    highest = shown.floored(curve.highest_certifiable, 2)
    start = shown.floored(min(float(curve.lower_bound[-1]), highest), 2)
    step = (highest - start) / (_TARGETS - 1)
    targets = [round(start + step * index, 2) for index in range(_TARGETS)]
    beyond = round(highest + 0.01, 2)
    if beyond >= 1:
        beyond = round((1 + curve.highest_certifiable) / 2, 6)
    return list(dict.fromkeys([*targets, beyond]))


def demo_data(task: Task, data: str | None, images: int) -> tuple[str, str | None]:
    """Where the demo's images come from: (source, split). Raises DatasetError."""
    if data is not None:
        return data, "val"
    if task.name == DRAWN:
        return f"{DRAWN}:{images}", None
    folder = os.environ.get("HAWKVISION_DATA")
    if folder and (Path(folder) / f"{task.name}.tar.gz").exists():
        return str(Path(folder) / f"{task.name}.tar.gz"), "val"
    raise DatasetError(
        f"the demo of {task.name} needs labelled photos",
        hint="Give DATA=DIR|TAR to make, or --data, laid out as val/<class>/<photo>.",
    )


@click.command("demo", context_settings={"show_default": True})
@click.option("--task", "name", default=DRAWN)
@click.option("--data", help="Folder or tar with the split val; not needed for roadsigns.")
@click.option("--images", type=click.IntRange(20), default=400, help="How many to send.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(name: str, data: str | None, images: int, json_file: Path | None) -> None:
    """Start an edge agent and a gateway, send labelled images, print what was delivered."""
    check_onnx_runtime()
    task = Repository(shipped_repository()).open(name)
    source, split = demo_data(task, data, images)
    targets = spread_targets(task.scores().curve())
    console = screen()
    children: list[Child] = []
    try:
        quiet = ["--log-level", "error"]
        children.append(Child("dc", ["--port", "0", "--task", name, *quiet], echo=False))
        gateway = children[0].wait_ready()
        options = ["--port", "0", "--gateway", gateway, "--task", name, *quiet]
        children.append(Child("edge", options, echo=False))
        url = children[1].wait_ready()
        console.print(f"edge agent {url}, data-center gateway {gateway}")
        console.print(f"dashboard {url}/ while it runs")
        console.print(f"{images} labelled images at each accuracy target …")
        found = asyncio.run(
            evaluate(
                url=url,
                data=source,
                split=split,
                task=name,
                targets=targets,
                limit=images,
                concurrency=2,
                stop_after_s=_STOP_AFTER_S,
            )
        )
    finally:
        stop_all(children)
    show(console, found)
    console.print(
        "One small and one large model served every target; only a threshold changed.\n"
        f"Targets hold at 95 % confidence, certified on {len(task.scores())} held-out images;\n"
        "one that cannot be certified is refused.\n"
        f"The dashboard was at {url}/; keep it running: hawkvision up"
    )
    write_json(json_file, found.as_dict())
    served = [row for row in found.rows if row.achieved is not None]
    if not served or any(row.failed for row in found.rows):
        raise click.exceptions.Exit(1)
