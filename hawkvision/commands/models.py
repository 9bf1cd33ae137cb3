"""`hawkvision models`: what lies in a model repository, and whether it is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from hawkvision.commands.output import write_json
from hawkvision.engines import open_engine
from hawkvision.errors import EngineError, HawkVisionError, TargetUnreachable
from hawkvision.repository import Repository, Rung, Task, read_task, shipped_repository

_TARGETS = (0.70, 0.75, 0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)

_repository = click.option(
    "--model-repository",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=shipped_repository,
    show_default="the tasks that ship",
)
_json = click.option("--json", "json_file", type=click.Path(path_type=Path))


@click.group("models")
def command() -> None:
    """List, show and verify the tasks of a model repository."""


@command.command("list")
@_repository
@_json
def list_tasks(root: Path, json_file: Path | None) -> None:
    """One line for each task."""
    repository = Repository(root)
    table = Table("task", "version", "labels", "rungs", "highest certifiable", "description")
    found: list[dict[str, Any]] = []
    for name in repository.tasks():
        task = repository.open(name)
        highest = task.scores().curve().highest_certifiable
        rungs = ", ".join(rung.name for rung in task.rungs)
        labels = str(len(task.labels))
        table.add_row(name, task.version, labels, rungs, f"{highest:.3f}", task.description)
        found.append({"name": name, "version": task.version, "highest_certifiable": highest})
    Console().print(table)
    write_json(json_file, {"tasks": found})


@command.command("show")
@click.argument("name", metavar="TASK")
@_repository
@_json
def show(name: str, root: Path, json_file: Path | None) -> None:
    """The rungs of TASK, and threshold and escalation for each accuracy target."""
    task = Repository(root).open(name)
    console = Console()
    table = Table("rung", "precision", "input", "temperature", "measured", title=f"{name}")
    for rung in task.rungs:
        size = f"{rung.geometry.width}x{rung.geometry.height} {rung.geometry.fit}"
        measured = ", ".join(f"{key} {value:g}" for key, value in rung.measured.items())
        table.add_row(rung.name, rung.model.precision, size, f"{rung.temperature:.3f}", measured)
    console.print(table)
    rows = target_rows(task)
    curve = Table("accuracy", "threshold", "expected escalation", title="certified targets")
    for row in rows:
        if row["certified"]:
            cells = f"{row['threshold']:.4f}", f"{row['escalation_rate']:.1%}"
        else:
            cells = "not certifiable", ""
        curve.add_row(f"{row['target']:.2f}", *cells)
    console.print(curve)
    write_json(json_file, {"task": name, "version": task.version, "targets": rows})


def target_rows(task: Task) -> list[dict[str, Any]]:
    """Threshold and expected escalation for each of a list of targets."""
    curve = task.scores().curve()
    rows: list[dict[str, Any]] = []
    for target in _TARGETS:
        try:
            index = curve.index_for(target)
        except TargetUnreachable:
            rows.append({"target": target, "certified": False})
            continue
        rows.append(
            {
                "target": target,
                "certified": True,
                "threshold": float(curve.thresholds[index]),
                "escalation_rate": float(curve.escalation_rate[index]),
            }
        )
    return rows


@command.command("verify")
@click.argument("name", metavar="[TASK]", required=False)
@_repository
def verify(name: str | None, root: Path) -> None:
    """Check digests and run each model once; exits 1 if anything is wrong."""
    repository = Repository(root)
    faults = 0
    for task_name in [name] if name is not None else repository.tasks():
        for version in repository.versions(task_name):
            faults += _verify_version(root / task_name / version)
    if faults:
        raise click.exceptions.Exit(1)


def _verify_version(folder: Path) -> int:
    """Print a line for each part of a version; the number of faults."""
    where = f"{folder.parent.name}/{folder.name}"
    try:
        task = read_task(folder)
        task.scores().curve()
        click.echo(f"ok    {where} calibration")
    except HawkVisionError as error:
        click.echo(f"FAULT {where}: {error}")
        return 1
    faults = 0
    for rung in task.rungs:
        if not rung.present:
            click.echo(f"      {where} {rung.name}: not here")
            continue
        try:
            task.check_digest(rung)
            run_once(task, rung)
            click.echo(f"ok    {where} {rung.name}")
        except HawkVisionError as error:
            click.echo(f"FAULT {where} {rung.name}: {error}")
            faults += 1
    return faults


def run_once(task: Task, rung: Rung) -> None:
    """Run a rung on a grey image. Raises EngineError if its answer cannot be one."""
    engine = open_engine(rung.model)
    try:
        shape = (1, 3, rung.geometry.height, rung.geometry.width)
        logits = engine.infer(np.full(shape, 128, np.uint8))
    finally:
        engine.close()
    if logits.shape != (1, len(task.labels)) or not np.isfinite(logits).all():
        raise EngineError(f"answered shape {logits.shape} for {len(task.labels)} labels, or NaN")
