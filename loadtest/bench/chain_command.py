"""`hawkvision bench chain`: its options, and what the screen shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.cli.output import add_numbers, screen, write_json
from hawkvision.repository import shipped_repository
from loadtest.bench.chain import ChainBench, run_chain_bench, write_plot


@click.command("chain", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--accuracy", type=click.FloatRange(0.01, 0.999), default=0.9)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="HAWKVISION_DATA",
    help="Folder with imagenette.tar.gz.",
    show_default="none: nothing is measured",
)
@click.option(
    "--model-repository",
    "repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=shipped_repository,
    show_default="the shipped one",
)
@click.option(
    "--round-trip",
    "round_trips",
    multiple=True,
    type=click.FloatRange(0.1, 1000),
    default=(20.0, 100.0),
    help="To the gateway, ms; one option for each.",
)
@click.option("--images", type=click.IntRange(50), default=600, help="To each agent.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=2)
@click.option("--seed", type=click.IntRange(0), default=7)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def chain(data: Path | None, json_file: Path | None, plot: Path | None, **options: Any) -> None:
    """One chain, cut at every place: escalations, P99, CPU; and what a lost link costs."""
    if data is None:
        why = "no photos: --data DIR or HAWKVISION_DATA, with imagenette.tar.gz in it"
        click.echo(f"NOT MEASURED: {why}", err=True)
        write_json(json_file, {"skipped": why})
        return
    bench = ChainBench(data=data, **options)
    result = run_chain_bench(bench, lambda text: click.echo(f"... {text}", err=True))
    out = screen()
    title = f"{result['task']}, target {bench.accuracy:g}, {result['images']} photos"
    table = Table(title=title)
    names = ("ms", "rungs", "right", "up", "P50\nms", "P99\nms")
    add_numbers(table, *names, "CPU edge\nms", "CPU dc\nms", "MB")
    for cell in result["cells"]:
        table.add_row(
            f"{cell['round_trip_ms']:g}",
            str(cell["rungs"]),
            f"{cell['accuracy']:.3f}",
            f"{cell['escalated']:.1%}",
            f"{cell['p50_ms']:.1f}",
            f"{cell['p99_ms']:.1f}",
            f"{cell['edge_cpu_ms']:.2f}",
            f"{cell['dc_cpu_ms']:.2f}",
            f"{cell['edge_rss_mb']:.0f}",
        )
    out.print(table)
    same = min(cell["same"] for cell in result["cells"])
    out.print(f"answered as by the agent with one rung: {same:.1%} or more of the photos")
    for cell in result["cut"]:
        out.print(
            f"link cut, {cell['rungs']} here: {cell['accuracy']:.3f} right "
            f"({cell['ci_low']:.3f} to {cell['ci_high']:.3f}), {cell['degraded']:.1%} degraded"
        )
    write_json(json_file, result)
    if plot is not None:
        write_plot(result, plot)
