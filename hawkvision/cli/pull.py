"""`hawkvision models pull` and `index`: repositories at a URL."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from hawkvision.cli.output import write_json
from hawkvision.errors import RepositoryError
from hawkvision.repository import shipped_repository
from hawkvision.repository.index import write_index
from hawkvision.repository.pull import Puller


@click.command("pull", context_settings={"show_default": True})
@click.argument("url")
@click.option("--task", "tasks", multiple=True, help="Only these.", show_default="all")
@click.option("--version", help="Of the one task named.", show_default="the newest")
@click.option("--rung", "rungs", multiple=True, help="Only these models, e.g. edge.")
@click.option(
    "--model-repository",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=shipped_repository,
    show_default="the tasks that ship",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def pull(
    url: str,
    tasks: tuple[str, ...],
    version: str | None,
    rungs: tuple[str, ...],
    root: Path,
    json_file: Path | None,
) -> None:
    """Fetch tasks from the model repository at URL; resumes, and checks every digest."""
    if version is not None and len(tasks) != 1:
        raise click.UsageError("--version needs exactly one --task")
    console = Console(stderr=True)
    lines: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:

        def moved(file: str, count: int, size: int) -> None:
            if file not in lines:
                lines[file] = bar.add_task(file, total=size)
            bar.advance(lines[file], count)

        puller = Puller(url, root, moved)
        index = puller.index()
        found = []
        for task in tasks or sorted(index):
            lines.clear()
            found.append(puller.pull(index, task, version, rungs))
    for one in found:
        state = "fetched" if one.fetched else "already here"
        click.echo(f"{one.task} version {one.version}: {state} ({one.folder})")
    body = [{"task": one.task, "version": one.version, "fetched": one.fetched} for one in found]
    write_json(json_file, {"pulled": body})
    if not found:
        raise RepositoryError("the repository at this address is empty")


@click.command("index")
@click.argument("root", type=click.Path(exists=True, file_okay=False, path_type=Path))
def index(root: Path) -> None:
    """Write ROOT/index.json, so that any web server can serve ROOT to `models pull`."""
    click.echo(str(write_index(root)))
