"""`hawkvision bench fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.output import add_numbers, screen, write_json
from hawkvision.errors import HawkVisionError
from loadtest.bench.fleet.run import FleetBench, run_fleet_bench
from loadtest.traffic import TrafficSettings

_SOAKED = ("rss_mb", "descriptors", "threads")


@click.command("fleet", context_settings={"show_default": True})
@click.option("--task", default="roadsigns")
@click.option("--agents", type=click.IntRange(1), default=50)
@click.option("--processes", type=click.IntRange(1), default=5, help="That the agents share.")
@click.option("--gateways", type=click.IntRange(1), default=2)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=2.0, help="An agent's, 1/s."
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=180.0)
@click.option("--targets", default="0.80,0.85,0.90,0.95")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Labelled photos.")
@click.option("--split")
@click.option("--images", default=600, help="How many are drawn or read.")
@click.option("--store", show_default="a Redis of its own", help="redis://… that is there.")
@click.option("--seed", default=11)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    task: str,
    agents: int,
    processes: int,
    gateways: int,
    rate: float,
    seconds: float,
    targets: str,
    data: Path | None,
    split: str | None,
    images: int,
    store: str | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Many agents, several gateways, Redis: what each target got; whether all was counted."""
    bench = FleetBench(
        task,
        agents,
        min(processes, agents),
        gateways,
        rate,
        seconds,
        tuple(float(part) for part in targets.split(",")),
        TrafficSettings(data, split, images, seed),
        store,
        seed,
    )
    console = screen()
    result = run_fleet_bench(bench, lambda text: console.print(f"… {text}"))
    table = Table(title=f"{agents} agents, {gateways} gateways, task {task}")
    add_numbers(
        table, "target", "n", "achieved", "95 % interval", "escalated", "degraded", "failed"
    )
    for row in result["results"]:
        table.add_row(
            shown.target(row["target"]),
            str(row["n"]),
            f"{row['achieved']:.3f}",
            shown.interval(row["ci_low"], row["ci_high"]),
            f"{row['escalation_rate']:.1%}",
            f"{row['degraded_rate']:.1%}",
            str(row["failed"]),
        )
    console.print(table)
    console.print(_soak_table(result["soak"]))
    console.print(f"answered {result['answered']}, counted by the store {result['counted']}")
    write_json(json_file, result)
    if result["counted"] != result["answered"] or result["failed"]:
        raise HawkVisionError("the counts differ, or requests failed", hint="See the table.")


def _soak_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="early and at the end")
    add_numbers(table, "process", "MB", "descriptors", "threads")
    for row in rows:
        cells = (" → ".join(f"{one:.0f}" for one in row[key]) for key in _SOAKED)
        table.add_row(row["process"], *cells)
    return table
