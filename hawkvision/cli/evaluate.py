"""`hawkvision evaluate`: a labelled set through a running agent, results per accuracy target."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console

from hawkvision.cascade import parse_accuracy
from hawkvision.cli.asking import key_option
from hawkvision.cli.output import progress_bar, results_table, screen, write_json
from hawkvision.client import AsyncClient
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.errors import HawkVisionError
from hawkvision.power import Energy, NotMeasured, energy_line, per_image
from hawkvision.taskbuild.evaluation import Row
from hawkvision.taskbuild.traffic import DRAWN_SEED, Evaluation, choose_task, load_images


class Evaluated(NamedTuple):
    """The task's name, a row for each target, and `hawkvision.power.per_image` over all of them."""

    task: str
    rows: list[Row]
    energy: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [row.as_dict() for row in self.rows]
        return {"task": self.task, "results": rows, "energy": self.energy}


def show(console: Console, found: Evaluated) -> None:
    """The table, and what it cost in energy."""
    console.print(results_table(found.task, found.rows))
    console.print(energy_line(found.energy))


async def energy_of(client: AsyncClient) -> Energy | NotMeasured:
    """What the agent's machine has used so far."""
    try:
        return (await client.power()).total
    except HawkVisionError as error:  # an older agent, or one that went away
        return NotMeasured(f"the agent does not say: {error.message}")


def energy_per_image(
    before: Energy | NotMeasured, after: Energy | NotMeasured, rows: Sequence[Row]
) -> dict[str, Any]:
    """Energy between two readings, for each answer of all targets, which were sent in turn."""
    spent = after if isinstance(after, NotMeasured) else before
    if isinstance(before, Energy) and isinstance(after, Energy):
        spent = after.since(before)
    images = sum(row.n for row in rows)
    return per_image(spent, images, sum((row.achieved or 0.0) * row.n for row in rows))


def parse_targets(text: str) -> list[float | str]:
    """`0.80,relative:0.02` as an agent echoes them. Raises InvalidRequest."""
    return [parse_accuracy(part.strip()).as_json() for part in text.split(",")]


async def evaluate(
    *,
    url: str,
    data: str,
    split: str | None,
    task: str | None,
    targets: Sequence[float | str],
    limit: int | None,
    concurrency: int,
    seed: int = DRAWN_SEED,
    stop_after_s: float | None = None,
    key: str | None = None,
) -> Evaluated:
    """Run an evaluation with a progress bar."""
    async with AsyncClient(url, key=key) as client:
        info = await choose_task(client, task)
        images = load_images(
            data, split, info, limit, seed, lambda note: click.echo(f"note: {note}", err=True)
        )
        with progress_bar() as bar:
            line = bar.add_task(f"{info.name}", total=len(images) * len(targets))
            run = Evaluation(
                client,
                info,
                concurrency=concurrency,
                stop_after_s=stop_after_s,
                progress=lambda: bar.advance(line),
            )
            before = await energy_of(client)
            rows = await run.run(images, targets)
            after = await energy_of(client)
            return Evaluated(info.name, rows, energy_per_image(before, after, rows))


@click.command("evaluate", context_settings={"show_default": True})
@click.option(
    "--data", required=True, help="Folder or tar of class folders, or roadsigns[:N] to draw N."
)
@click.option("--split", help="Folder above the class folders, e.g. val.")
@click.option("--accuracy", "targets", required=True, help="Targets, e.g. 0.80,0.90,0.95.")
@click.option("--url", default=DEFAULT_URL)
@key_option
@click.option("--task", help="Default: the agent's.")
@click.option("--limit", type=click.IntRange(1), help="At most so many images, classes mixed.")
@click.option("--concurrency", type=click.IntRange(1, 256), default=4)
@click.option("--seed", type=click.IntRange(0), default=DRAWN_SEED, help="Of drawn images.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the results.")
def command(
    data: str,
    split: str | None,
    targets: str,
    url: str,
    key: str | None,
    task: str | None,
    limit: int | None,
    concurrency: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Send a labelled set through a running agent and report the accuracy delivered."""
    found = asyncio.run(
        evaluate(
            url=url,
            data=data,
            split=split,
            task=task,
            targets=parse_targets(targets),
            limit=limit,
            concurrency=concurrency,
            seed=seed,
            key=key,
        )
    )
    show(screen(), found)
    write_json(json_file, found.as_dict())
    if failed := sum(row.failed for row in found.rows):
        click.echo(f"{failed} requests got no answer", err=True)
        raise click.exceptions.Exit(1)
