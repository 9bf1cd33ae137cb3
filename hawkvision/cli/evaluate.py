"""`hawkvision evaluate`: a labelled set through a running agent, results per accuracy target."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from hawkvision.cascade import parse_accuracy
from hawkvision.cli.output import progress_bar, results_table, screen, write_json
from hawkvision.client import AsyncClient
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.taskbuild.evaluation import Row
from hawkvision.taskbuild.traffic import DRAWN_SEED, Evaluation, choose_task, load_images


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
) -> tuple[str, list[Row]]:
    """Run an evaluation with a progress bar; the task's name and the rows."""
    async with AsyncClient(url) as client:
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
            return info.name, await run.run(images, targets)


@click.command("evaluate", context_settings={"show_default": True})
@click.option(
    "--data", required=True, help="Folder or tar of class folders, or roadsigns[:N] to draw N."
)
@click.option("--split", help="Folder above the class folders, e.g. val.")
@click.option("--accuracy", "targets", required=True, help="Targets, e.g. 0.80,0.90,0.95.")
@click.option("--url", default=DEFAULT_URL)
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
    task: str | None,
    limit: int | None,
    concurrency: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Send a labelled set through a running agent and report the accuracy delivered."""
    name, rows = asyncio.run(
        evaluate(
            url=url,
            data=data,
            split=split,
            task=task,
            targets=parse_targets(targets),
            limit=limit,
            concurrency=concurrency,
            seed=seed,
        )
    )
    screen().print(results_table(name, rows))
    write_json(json_file, {"task": name, "results": [row.as_dict() for row in rows]})
    if any(row.failed for row in rows):
        click.echo(f"{sum(row.failed for row in rows)} requests got no answer", err=True)
        raise click.exceptions.Exit(1)
