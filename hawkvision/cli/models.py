"""`hawkvision models`: what lies in a model repository, and whether it is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from hawkvision.cli.output import screen, write_json
from hawkvision.cli.pull import index, pull
from hawkvision.cli.summaries import levels_table, relative_table, targets_table
from hawkvision.engines import open_engine
from hawkvision.errors import EngineError, HawkVisionError, RepositoryError
from hawkvision.repository import Repository, Rung, Task, read_task, shipped_repository
from hawkvision.summary import summarise_task

_SOUND, _ABSENT = "ok", "not here"

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
        try:
            task = repository.open(name)
        except HawkVisionError as error:
            table.add_row(name, "", "", "", "", f"damaged: {error}")
            found.append({"name": name, "error": error.as_dict()})
            continue
        highest = task.scores().curve().highest_certifiable
        rungs = ", ".join(rung.name for rung in task.rungs)
        labels = str(len(task.labels))
        table.add_row(name, task.version, labels, rungs, f"{highest:.3f}", task.description)
        found.append(
            {
                "name": name,
                "version": task.version,
                "labels": list(task.labels),
                "rungs": [rung.name for rung in task.rungs],
                "highest_certifiable": highest,
                "description": task.description,
            }
        )
    screen().print(table)
    write_json(json_file, {"tasks": found})


@command.command("show")
@click.argument("name", metavar="TASK")
@click.option("--delta", default=0.05, type=click.FloatRange(1e-6, 0.5), show_default=True)
@click.option("--link-ms", default=20.0, type=click.FloatRange(0), show_default=True)
@_repository
@_json
def show(name: str, delta: float, link_ms: float, root: Path, json_file: Path | None) -> None:
    """The rungs of TASK, and threshold and escalation for each accuracy target."""
    task = Repository(root).open(name)
    console = screen()
    table = Table("rung", "precision", "input", "file", "temperature", "measured", title=f"{name}")
    rungs = [rung_row(rung) for rung in task.rungs]
    for row in rungs:
        size = row["bytes"]
        table.add_row(
            row["name"],
            row["precision"],
            row["input"],
            "not here" if size is None else f"{size / 1000:,.0f} kB",
            f"{row['temperature']:.3f}",
            ", ".join(f"{key} {value:g}" for key, value in row["measured"].items()),
        )
    console.print(table)
    summary = summarise_task(task, task.scores(), delta=delta, link_ms=link_ms)
    console.print(targets_table(summary))
    console.print(relative_table(summary))
    if len(summary.levels) > 1:
        console.print(levels_table(summary))
    write_json(json_file, {"rungs": rungs, **summary.as_dict()})


def rung_row(rung: Rung) -> dict[str, Any]:
    """A rung's input, precision, size on disk (None where it is not here) and cost."""
    geometry = rung.geometry
    return {
        "name": rung.name,
        "precision": rung.model.precision,
        "input": f"{geometry.width}x{geometry.height} {geometry.fit}",
        "bytes": rung.model.path.stat().st_size if rung.present else None,
        "temperature": rung.temperature,
        "measured": dict(rung.measured),
    }


@command.command("verify")
@click.argument("name", metavar="[TASK]", required=False)
@_repository
@_json
def verify(name: str | None, root: Path, json_file: Path | None) -> None:
    """Check digests and run each model once; exits 1 if anything is wrong."""
    repository = Repository(root)
    findings: list[dict[str, Any]] = []
    for task_name in [name] if name is not None else repository.tasks():
        for version in repository.versions(task_name):
            for part, state in verify_version(root / task_name / version):
                click.echo(f"{task_name}/{version} {part}: {state}")
                findings.append(
                    {"task": task_name, "version": version, "part": part, "state": state}
                )
    write_json(json_file, {"findings": findings})
    if not findings:
        raise RepositoryError(f"no tasks in {root}", hint="Give --model-repository.")
    if any(finding["state"] not in (_SOUND, _ABSENT) for finding in findings):
        raise click.exceptions.Exit(1)


def verify_version(folder: Path) -> Iterator[tuple[str, str]]:
    """Each part of a version with its state: `ok`, `not here`, or what is wrong with it."""
    try:
        task = read_task(folder)
    except HawkVisionError as error:
        yield "task.toml", str(error)
        return
    yield "calibration", _state(partial(check_calibration, task))
    for rung in task.rungs:
        yield rung.name, _state(partial(check_rung, task, rung)) if rung.present else _ABSENT


def _state(check: Callable[[], None]) -> str:
    try:
        check()
    except HawkVisionError as error:
        return str(error)
    return _SOUND


def check_calibration(task: Task) -> None:
    """Raise HawkVisionError if the held-out scores are damaged or of other classes."""
    scores = task.scores()
    scores.curve()
    for classes in (scores.label, scores.rung_class, scores.dc_class):
        if classes.min() < 0 or classes.max() >= len(task.labels):
            raise RepositoryError(
                f"{task.calibration} holds classes beyond the {len(task.labels)} labels",
                hint="Calibrate the task again.",
            )


def check_rung(task: Task, rung: Rung) -> None:
    """Check the digest and run a grey image. Raises HawkVisionError if an answer is no answer."""
    task.check_digest(rung)
    engine = open_engine(rung.model)
    try:
        shape = (1, 3, rung.geometry.height, rung.geometry.width)
        logits = engine.infer(np.full(shape, 128, np.uint8))
    finally:
        engine.close()
    if logits.shape != (1, len(task.labels)):
        raise EngineError(f"answered shape {logits.shape} for {len(task.labels)} labels")
    if not np.isfinite(logits).all():
        raise EngineError("answered NaN or infinity")


command.add_command(pull)
command.add_command(index)
