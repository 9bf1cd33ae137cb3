"""`hawkvision bench plan`: its options, and what the screen shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.cli.output import add_numbers, screen, write_json
from hawkvision.repository import shipped_repository
from loadtest.bench.plan.run import PlanBench, run_plan_bench
from loadtest.bench.plan.settings import SETTINGS


@click.command("plan", context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="HAWKVISION_DATA",
    help="Folder with imagenette.tar.gz.",
    show_default="none: nothing is measured",
)
@click.option(
    "--seconds", type=click.FloatRange(1), default=45.0, help="Of each setting's traffic."
)
@click.option("--scale", type=click.FloatRange(0.01, 100), default=1.0, help="Of all rates.")
@click.option("--seed", type=click.IntRange(0), default=7)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    data: Path | None, seconds: float, scale: float, seed: int, json_file: Path | None
) -> None:
    """What `hawkvision plan` says, against real processes under the same traffic."""
    if data is None:
        why = "no photos: --data DIR or HAWKVISION_DATA, with imagenette.tar.gz in it"
        click.echo(f"NOT MEASURED: {why}", err=True)
        write_json(json_file, {"skipped": why})
        return
    settings = [replace(one, rate=one.rate * scale) for one in SETTINGS]
    bench = PlanBench("imagenette", shipped_repository(), data, settings, seconds, seed)
    result = run_plan_bench(bench, lambda text: click.echo(f"... {text}", err=True))
    out = screen()
    for one in result["settings"]:
        out.print(_table(one))
    write_json(json_file, result)


def _table(setting: dict[str, Any]) -> Table:
    besides = setting["besides"]
    table = Table(
        "",
        caption=f"late: client {besides['sent_late_p50_ms']:.2f} ms (P99 "
        f"{besides['sent_late_p99_ms']:.2f}), link {besides['relay_late_ms']:.2f} ms a packet",
        title=f"{setting['name']}: {setting['rate']:g}/s, {setting['rtt_ms']:g} ms, "
        f"{setting['mbit']:g} Mbit/s, {setting['targets']}",
    )
    add_numbers(table, "predicted", "measured", "95 %", "error")
    for line in setting["lines"]:
        low, high = line["low"], line["high"]
        table.add_row(
            f"{line['name']}, {line['unit']}",
            f"{line['predicted']:.3g}",
            f"{line['measured']:.3g}",
            "" if low is None else f"{low:.3g} to {high:.3g}",
            f"{line['error']:+.0%}",
        )
    return table
