"""`hawkvision models`: what lies in a model repository, and whether it is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.output import add_numbers, screen, write_json
from hawkvision.cli.pull import index, pull
from hawkvision.cli.summaries import levels_table, relative_table, targets_table
from hawkvision.contract.errors import error_body
from hawkvision.engines import flavour_of
from hawkvision.engines.tensorrt import examine as tensorrt
from hawkvision.errors import EngineError, HawkVisionError, RepositoryError
from hawkvision.repository import Repository, Rung, Task, read_task, shipped_repository
from hawkvision.rungs import LoadedRung
from hawkvision.summary import summarise_task
from hawkvision.updates import signatures

_SOUND, _ABSENT, _SKIPPED = "ok", "not here", "skipped:"

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
    table = Table("task", "version", "labels", "rungs")
    add_numbers(table, "highest\ncertifiable")
    table.add_column("description")
    found: list[dict[str, Any]] = []
    for name in repository.tasks():
        try:
            task = repository.open(name)
        except HawkVisionError as error:
            table.add_row(name, "", "", "", "", f"damaged: {error}")
            found.append({"name": name, **error_body(error)})
            continue
        highest = task.scores().curve().highest_certifiable
        rungs = ", ".join(rung.name for rung in task.rungs)
        labels = str(len(task.labels))
        table.add_row(name, task.version, labels, rungs, shown.lower(highest), task.description)
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
    table = Table("rung", "file", "input", "outputs", "measured", title=name)
    rungs = [rung_row(task, rung) for rung in task.rungs]
    for row in rungs:
        size = row["bytes"]
        table.add_row(
            row["name"],
            f"{row['precision']}\n" + ("not here" if size is None else f"{size / 1000:,.0f} kB"),
            row["input"].replace(" ", "\n"),
            brief(row["outputs"]),
            "\n".join(f"{key} {value:.10g}" for key, value in row["measured"].items()),
        )
    console.print(table)
    console.print(certificate_line(task))
    for line in flavour_lines(task):
        console.print(line)
    summary = summarise_task(task, task.scores(), delta=delta, link_ms=link_ms)
    console.print(targets_table(summary))
    console.print(relative_table(summary))
    if len(summary.levels) > 1:
        console.print(levels_table(summary))
    certificate = None if task.numerics is None else task.numerics.as_dict()
    flavours = {
        flavour: {
            "rungs": [rung_row(one, rung) for rung in one.rungs],
            "certificate": None if one.numerics is None else one.numerics.as_dict(),
            "highest_certifiable": one.scores().curve(delta).highest_certifiable,
        }
        for flavour, one in task.flavours.items()
    }
    body = {"rungs": rungs, "certificate": certificate, "flavours": flavours}
    write_json(json_file, {**body, **summary.as_dict()})


def certificate_line(task: Task) -> str:
    """For which engine the certificate holds."""
    found = task.numerics
    if found is None:
        return "certificate: names no engine; calibrate again to have it checked at start-up"
    return (
        f"certificate: engine {found.engine} on {found.device} ({found.platform} {found.version})"
    )


def flavour_lines(task: Task) -> list[str]:
    """What the task has for single engines, a line each."""
    found = []
    for name, one in task.flavours.items():
        files = ", ".join(
            f"{rung.model.path.name} {stored / 1000:,.0f} kB"
            for rung in one.rungs
            if (stored := rung_row(one, rung)["bytes"]) is not None
        )
        highest = shown.lower(one.scores().curve().highest_certifiable)
        found.append(f"for {name}: {files or 'not here'}; highest certified {highest}")
    return found


def rung_row(task: Task, rung: Rung) -> dict[str, Any]:
    """A rung's input, precision, size on disk (None where it is not here) and cost."""
    geometry, head = rung.geometry, task.kind.head_table(rung.head)
    return {
        "name": rung.name,
        "precision": rung.model.precision,
        "input": f"{geometry.width}x{geometry.height} {geometry.fit}",
        "bytes": sum(file.stat().st_size for file in rung.files if file.is_file())
        if rung.present
        else None,
        "outputs": head,
        **{key: value for key, value in head.items() if key == "temperature"},
        "measured": dict(rung.measured),
    }


@command.command("verify")
@click.argument("name", metavar="[TASK]", required=False)
@click.option("--engine", default="onnx", show_default=True)
@click.option("--parse-only", is_flag=True, help="For --engine tensorrt: needs no GPU.")
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="OpenSSF model signature over the folder of TASK's newest version.",
)
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of whom --signature must be by.",
)
@_repository
@_json
def verify(
    name: str | None,
    engine: str,
    parse_only: bool,
    signature: Path | None,
    public_key: Path | None,
    root: Path,
    json_file: Path | None,
) -> None:
    """Check digests and run each model once; exits 1 if anything is wrong.

    With --engine tensorrt the files for TensorRT are checked; --parse-only parses and builds them
    without running them.
    """
    if parse_only and flavour_of(engine) != tensorrt.FLAVOUR:
        raise click.UsageError("--parse-only goes with --engine tensorrt")
    repository = Repository(root)
    findings: list[dict[str, Any]] = []
    if signature is not None or public_key is not None:
        if name is None or signature is None or public_key is None:
            raise click.UsageError("--signature and --public-key go together, with a TASK")
        version = repository.versions(name)[0]
        check = partial(signatures.verify_folder, root / name / version, signature, public_key)
        skipped = f"{_SKIPPED} model-signing is not installed; pip install 'hawkvision[signatures]'"
        state = _state(check) if signatures.available() else skipped
        click.echo(f"{name}/{version} signature: {state}")
        findings.append({"task": name, "version": version, "part": "signature", "state": state})
    for task_name in [name] if name is not None else repository.tasks():
        for version in repository.versions(task_name):
            for part, state in verify_version(root / task_name / version, engine, parse_only):
                click.echo(f"{task_name}/{version} {part}: {state}")
                findings.append(
                    {"task": task_name, "version": version, "part": part, "state": state}
                )
    write_json(json_file, {"findings": findings})
    if not findings:
        raise RepositoryError(f"no tasks in {root}", hint="Give --model-repository.")
    if any(
        finding["state"] not in (_SOUND, _ABSENT) and not finding["state"].startswith(_SKIPPED)
        for finding in findings
    ):
        raise click.exceptions.Exit(1)


def verify_version(
    folder: Path, engine: str = "onnx", parse_only: bool = False
) -> Iterator[tuple[str, str]]:
    """Each part of a version with its state: `ok`, `not here`, or what is wrong with it.

    The files that `engine` wants; any engine that wants the plain ones tries those of every
    flavour.
    """
    try:
        task = read_task(folder)
    except HawkVisionError as error:
        yield "task.toml", str(error)
        return
    wanted = task.as_flavour(flavour_of(engine))
    seen = set()
    for one in [wanted] if wanted is not task else [task, *task.flavours.values()]:
        of = f" ({one.flavour})" if one.flavour else ""
        yield f"calibration{of}", _state(partial(check_calibration, one))
        for rung in one.rungs:
            if rung.model.path in seen:
                continue
            seen.add(rung.model.path)
            check = partial(check_parse if parse_only else check_rung, one, rung, engine)
            yield f"{rung.name}{of}", _state(check) if rung.present else _ABSENT


def _state(check: Callable[[], None]) -> str:
    try:
        check()
    except HawkVisionError as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message
    return _SOUND


def check_calibration(task: Task) -> None:
    """Raise HawkVisionError if the held-out scores are damaged or of other classes."""
    scores = task.scores()
    scores.curve()
    if scores.items is None or not task.labels:
        return
    for items in (scores.items.label, scores.items.rung_class, scores.items.dc_class):
        if items.min() < 0 or items.max() >= len(task.labels):
            raise RepositoryError(
                f"{task.calibration} holds classes beyond the {len(task.labels)} labels",
                hint="Calibrate the task again.",
            )


def check_rung(task: Task, rung: Rung, engine: str) -> None:
    """Check the digest, and run it over its reference images, or a grey one.

    Raises HawkVisionError if an answer is no answer, or not the certified one.
    """
    if flavour_of(engine) == tensorrt.FLAVOUR and tensorrt.present():
        rung.check_digest()
        tensorrt.examine(rung.model.path)
    loaded = LoadedRung.open(rung, task.kind, engine=engine, reference=task.reference(rung.name))
    loaded.close()
    found = loaded.agreement
    if not found.agree:
        raise EngineError(
            f"answers differ from the certified ones by {found.deviation:.3g}; "
            f"{found.tolerance:.3g} is tolerated",
            hint="Certify them with `hawkvision calibrate --engine NAME`.",
        )


def check_parse(_task: Task, rung: Rung, _engine: str) -> None:
    """Check the digest, then parse and build for TensorRT. Raises HawkVisionError."""
    rung.check_digest()
    tensorrt.examine(rung.model.path, build=True)


def brief(table: dict[str, Any]) -> str:
    """A few settings in one cell, one a line."""
    return "\n".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
        for key, value in table.items()
        if not isinstance(value, list)
    )


command.add_command(pull)
command.add_command(index)
