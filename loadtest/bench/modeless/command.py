"""`hawkvision bench modeless`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hawkvision.cli.output import screen, write_json
from loadtest.bench.modeless.agreement import compare
from loadtest.bench.modeless.experiment import SYSTEMS
from loadtest.bench.modeless.maps import markdown_maps
from loadtest.bench.modeless.report import number, write_report
from loadtest.bench.modeless.run import ModelessBench, forget, run_modeless_bench
from loadtest.peers.installed import default_python


@click.command("modeless", context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    show_default="imagenette.tar.gz in $HAWKVISION_DATA",
    help="Labelled photos of imagenette, with the split val.",
)
@click.option("--quick", is_flag=True, help="Five minutes instead of thirty.")
@click.option("--fp32/--no-fp32", default=True, help="A ladder of float networks too.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/bench/modeless"),
    help="Ladders, photos, and until a run ends what it measured: one that was stopped goes on.",
)
@click.option(
    "--report", type=click.Path(path_type=Path), default=Path("build/bench/modeless.html")
)
@click.option(
    "--triton",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_python().parent.parent / "triton",
    show_default="that of scripts/setup peers",
    help="Virtual environment with nvidia-pytriton.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    type=click.Choice(SYSTEMS),
    metavar="NAME",
    help=f"One option for each; default: all. {', '.join(SYSTEMS)}.",
)
@click.option(
    "--before",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What --json kept of an earlier run: cells that differ from it are marked.",
)
@click.option("--seed", default=1)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    data: Path | None,
    quick: bool,
    fp32: bool,
    folder: Path,
    report: Path,
    triton: Path,
    systems: tuple[str, ...],
    before: Path | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Confidence scaling against a model for each target, on one machine with real processes."""
    photos = data or _photos()
    if photos is None:
        raise click.UsageError(
            "needs photos of imagenette: --data imagenette.tar.gz, or its folder in HAWKVISION_DATA"
        )
    console = screen()
    bench = ModelessBench(quick, fp32, photos, folder, seed, triton, systems or SYSTEMS)
    result = run_modeless_bench(bench, lambda text: console.print(f"… {text}"))
    if before is not None:
        agreement = compare(result["map"], _earlier(before))
        result = {**result, "map": agreement.pop("cells"), "agreement": agreement}
    _show(console, result)
    write_report(result, report)
    console.print(f"report: {report}")
    write_json(json_file, result)
    forget(bench)


def _photos() -> Path | None:
    folder = os.environ.get("HAWKVISION_DATA")
    path = Path(folder) / "imagenette.tar.gz" if folder else None
    return path if path is not None and path.exists() else None


def _earlier(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        cells: Sequence[Mapping[str, Any]] = json.loads(path.read_text())["map"]
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"{path} is no result of bench modeless: {error}") from error
    return cells


def _show(console: Console, result: Mapping[str, Any]) -> None:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in result["systems"]:
        groups.setdefault(row["scenario"], []).append(row)
    for name, rows in groups.items():
        console.print(_table(name, rows))
    if result["map"]:
        console.print(markdown_maps(result), markup=False)
    for one in result["verdicts"]:
        if (good := one["goodput"]) is not None:
            console.print(
                f"{one['scenario']}, {good['rate']:g}/s: {good['ratio']:.2f}x the goodput of the "
                f"best baseline, {good['best']}"
            )
    if (found := result.get("agreement")) is not None:
        console.print(f"{found['agree']} of {found['ratios']} ratios agree with the earlier run")


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=name, box=SIMPLE_HEAD)
    for column in ("system", "/s", "P50", "P99", "good/s", "right, %", "loads", "MB"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        accuracy = " ".join(
            f"{100 * share:.0f}{'x' if target in row['missed'] else ''}"
            for target, share in row["accuracy"].items()
        )
        table.add_row(
            row["name"],
            f"{row['rate']:g}",
            number(row["p50_ms"]),
            number(row["p99_ms"]) + ("" if row["stable"] else "~"),
            f"{row['goodput']:.0f}",
            accuracy,
            str(row["loads"]),
            f"{row['rss_mb']:.0f}",
        )
    return table
