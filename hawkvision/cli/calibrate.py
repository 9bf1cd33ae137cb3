"""`hawkvision calibrate`: your models and labelled images become a task with certified targets."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hawkvision.calibration import shown
from hawkvision.cli.output import progress_bar, screen, write_json
from hawkvision.cli.summaries import chains_table, targets_table
from hawkvision.datasets import open_labelled
from hawkvision.engines import check_onnx_runtime
from hawkvision.errors import CalibrationError
from hawkvision.planning.chains import Wanted
from hawkvision.repository import Repository, Task
from hawkvision.serving.rung_options import megabytes
from hawkvision.summary import Summary, summarise_task
from hawkvision.taskbuild.build import (
    LOSS_LEVELS,
    BuildRequest,
    Built,
    Progress,
    build_task,
)
from hawkvision.taskbuild.flavour import add_flavour
from hawkvision.taskbuild.sources import ModelSource, parse_source, read_aliases

MODEL = "FILE.onnx[,KEY=VALUE...]"
_KEYS = """
\b
KEY=VALUE says what a model's file does not, nor Hugging Face's files beside
it, and is not to be found by trial:
  labels=FILE             its labels: a line each, CSV, JSON, or config.json
  normalize=imagenet|unit|signed|pixels, or mean=R/G/B and std=R/G/B
  size=SIDE or WxH        of an input that the file leaves open
  layout=HWC|CHW|grey     how images were flattened for a model of rows
  fit=cover|stretch       a centre crop, or the whole image
  channels=RGB|BGR        the order of colours
  output=logits|probabilities, or the name of the output with the scores
  name=NAME               the rung's
"""


def parse_source_option(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """A click callback: `FILE[,key=value…]`, or a tuple of them, to ModelSource; None stays."""
    if isinstance(value, tuple):
        return tuple(parse_source(text) for text in value)
    return None if value is None else parse_source(value)


def _numbers(_context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return ()
    try:
        numbers = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers") from error
    if not all(0 <= number < 1 for number in numbers):
        raise click.BadParameter(f"{text!r}: each must be in [0, 1)")
    return tuple(numbers)


@click.command("calibrate", context_settings={"show_default": True}, epilog=_KEYS)
@click.option("--edge", callback=parse_source_option, metavar=MODEL, help="The small model.")
@click.option(
    "--dc",
    multiple=True,
    callback=parse_source_option,
    metavar=MODEL,
    help="A larger model; give several from small to large for a chain in the data center.",
)
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    callback=parse_source_option,
    metavar=MODEL,
    help="Instead of --edge and --dc, several in any order: the best chain of them is taken.",
)
@click.option(
    "--targets", callback=_numbers, help="With --candidate: what will be asked, e.g. 0.8,0.9."
)
@click.option(
    "--memory", "memory_mb", type=megabytes, metavar="SIZE", show_default="no bound",
    help="With --candidate: for rungs at the edge, e.g. 80MB.",
)  # fmt: skip
@click.option(
    "--deadline-ms", default=1000.0, type=click.FloatRange(1, 3.6e6), help="With --candidate."
)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder or tar of class folders, or Hugging Face parquet; unseen by both models.",
)
@click.option("--split", help="Folder above the class folders, e.g. val, or several: a,b.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model repository.")
@click.option("--name", help="Of the task.", show_default="the name of the folder --data")
@click.option("--description", default="", help="For people.")
@click.option("--aliases", type=click.Path(path_type=Path), help='JSON, {"folder": "label"}.')
@click.option("--delta", default=0.05, type=click.FloatRange(1e-6, 0.5), help="Risk of a miss.")
@click.option("--tiers", callback=_numbers, help="Targets that hold at once, e.g. 0.8,0.9,0.95.")
@click.option(
    "--loss-levels",
    callback=_numbers,
    default=",".join(f"{level:g}" for level in LOSS_LEVELS),
    help="Shares of an image lost on the way; 0 alone skips them.",
)
@click.option("--kind", default="classification", help="Of the task.")
@click.option("--engine", default="onnx", help="For which the certificate shall hold.")
@click.option("--flavour", help="These are the files for that engine of a task that is there.")
@click.option("--restrict-to-data", is_flag=True, help="Leave out classes without images.")
@click.option("--limit", type=click.IntRange(1), help="At most so many images.")
@click.option("--threads", type=click.IntRange(1, 64), default=lambda: os.cpu_count() or 1)
@click.option(
    "--link-ms", default=20.0, type=click.FloatRange(0), help="Round trip, for choice and reports."
)
@click.option("--report", type=click.Path(path_type=Path), help="HTML; also kept with the task.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    edge: ModelSource | None,
    dc: tuple[ModelSource, ...],
    candidates: tuple[ModelSource, ...],
    targets: tuple[float, ...],
    memory_mb: float | None,
    deadline_ms: float,
    data: Path,
    split: str | None,
    out: Path,
    name: str | None,
    description: str,
    aliases: Path | None,
    delta: float,
    tiers: tuple[float, ...],
    loss_levels: tuple[float, ...],
    kind: str,
    engine: str,
    flavour: str | None,
    restrict_to_data: bool,
    limit: int | None,
    threads: int,
    link_ms: float,
    report: Path | None,
    json_file: Path | None,
) -> None:
    """Turn models and labelled images into a task of a model repository.

    Images must be like the traffic to come, and unseen in training. The models are --edge and --dc,
    or the best chain out of --candidate.
    """
    wanted = Wanted(targets, memory_mb, link_ms, deadline_ms) if candidates else None
    models = _models(edge, dc, candidates, targets, flavour)
    check_onnx_runtime()  # before any image is read
    request = BuildRequest(
        name=name or task_name(data),
        models=models,
        images=open_labelled(data, split),
        aliases=read_aliases(aliases) if aliases else {},
        description=description,
        loss_levels=loss_levels if loss_levels[:1] == (0.0,) else (0.0, *loss_levels),
        delta=delta,
        tiers=tiers,
        kind=kind,
        engine=engine,
        restrict_to_data=restrict_to_data,
        limit=limit,
        threads=threads,
        wanted=wanted,
    )
    built = _build(request, out) if flavour is None else _build_flavour(request, out, flavour)
    for note in built.notes:
        click.echo(f"note: {note}", err=True)
    summary = summarise_task(built.task, built.scores, delta=delta, link_ms=link_ms)
    if built.choice is not None:
        screen().print(chains_table(built.choice))
    show(built.task, summary)
    trials = [trial.as_dict() for trial in built.trials]
    body = {**summary.as_dict(), "notes": list(built.notes), "trials": trials}
    if built.choice is not None:
        body["chains"] = built.choice.as_dict()
    write_json(json_file, body)
    write_report(built, summary, report, request, data)


def _models(
    edge: ModelSource | None,
    dc: tuple[ModelSource, ...],
    candidates: tuple[ModelSource, ...],
    targets: tuple[float, ...],
    flavour: str | None,
) -> tuple[ModelSource, ...]:
    """Raises click.UsageError unless it is the one way or the other."""
    if not candidates:
        if edge is None or not dc:
            raise click.UsageError("give --edge and --dc, or several --candidate")
        if targets:
            raise click.UsageError("--targets goes with --candidate")
        return edge, *dc
    if edge is not None or dc:
        raise click.UsageError("give --edge and --dc, or --candidate, not both")
    if flavour is not None:
        raise click.UsageError("a flavour has the rungs of its task: give --edge and --dc")
    if not targets or targets[0] == 0:
        raise click.UsageError("--candidate needs --targets, e.g. 0.8,0.9")
    return candidates


def task_name(data: Path) -> str:
    """A task's name from a path: `photos.tar.gz` gives `photos`. Raises CalibrationError."""
    name = data.resolve().name.split(".")[0]
    if not name or not name[0].isalnum():
        raise CalibrationError("the task needs a name", hint="Give --name.")
    return name


def _build(request: BuildRequest, out: Path) -> Built:
    with progress_bar() as bar:
        line = bar.add_task("starting", total=None)
        progress = Progress(
            stage=lambda name, total: bar.reset(line, description=name, total=total),
            step=lambda: bar.advance(line),
        )
        return build_task(request, out, progress)


def _build_flavour(request: BuildRequest, out: Path, flavour: str) -> Built:
    """Build beside, and lay that into the next version of the task that is there."""
    task = Repository(out).open(request.name)
    with tempfile.TemporaryDirectory() as scratch:
        built = _build(request, Path(scratch))
        whole = add_flavour(task, built.task, flavour)
    return replace(built, task=whole.as_flavour(flavour))


def show(task: Task, summary: Summary) -> None:
    """Print what is certified."""
    console = screen()
    console.print(targets_table(summary))
    console.print(
        f"highest certified: {shown.lower(summary.highest_certifiable)} "
        f"at confidence {1 - summary.delta:g} on {summary.images} images"
    )
    root = task.folder.parent.parent
    words = ["hawkvision", "up", "--task", task.name, "--model-repository", str(root)]
    click.echo(f"serve it: {shlex.join(words)}")


def write_report(
    built: Built, summary: Summary, report: Path | None, request: BuildRequest, data: Path
) -> None:
    """Write `report.html` beside the task, and to `report`."""
    try:
        from hawkvision.taskbuild.report.calibration import Made, render
    except ModuleNotFoundError as error:
        click.echo(
            f"note: no report was written, {error.name} is not installed; "
            "pip install 'hawkvision[report]'",
            err=True,
        )
        return
    given = dict(zip(request.names, request.models, strict=True))
    files = {rung.name: str(given[rung.name].path) for rung in built.task.rungs}
    made = Made(
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        shlex.join(["hawkvision", *sys.argv[1:]]),
        {**files, "images": str(data)},
    )
    _, certifying = request.split()
    page = render(built.task, built.scores, summary, built.notes, made, certifying)
    of = f".{built.task.flavour}" if built.task.flavour else ""
    for path in (built.task.folder / f"report{of}.html", report):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, "utf-8")
            click.echo(f"report: {path}")
