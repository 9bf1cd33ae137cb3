"""`hawkvision bench server`: its options, and what the screen shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hawkvision.cli.output import add_numbers, screen, write_json
from hawkvision.power import energy_line
from loadtest.bench.server import ServerBench, run_server_bench
from loadtest.peers.installed import default_python


@click.command("server", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--rounds", type=click.IntRange(1), default=5)
@click.option("--seconds", type=click.FloatRange(0.2), default=4.0, help="Of each measurement.")
@click.option("--connections", default="1,8", help="Closed-loop connections, e.g. 1,8.")
@click.option(
    "--peers", is_flag=True, help="Beside mosec, LitServe, Ray Serve and Triton, where they are."
)
@click.option(
    "--peers-python",
    type=click.Path(dir_okay=False, path_type=Path),
    default=default_python(),
    show_default="that of scripts/setup peers",
    help="The Python that has them.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    task: str,
    rounds: int,
    seconds: float,
    connections: str,
    peers: bool,
    peers_python: Path,
    json_file: Path | None,
) -> None:
    """CPU of the edge agent for a locally answered request, against the bare loop."""
    counts = tuple(int(part) for part in connections.split(","))
    bench = run_server_bench(
        ServerBench(task, rounds, seconds, counts, peers_python if peers else None),
        lambda text: click.echo(f"... {text}", err=True),
    )
    table = Table("what", "CPU ms", "ratio", "req/s", "p50 ms", "p99 ms", title=f"task {task}")
    table.add_row("bare loop", f"{bench['cpu_ms_bare']:.3f}", "1.00")
    for row in bench["agent"]:
        table.add_row(
            f"agent, {row['connections']} connections",
            f"{row['cpu_ms']:.3f}",
            f"{row['cpu_ratio']:.2f}",
            f"{row['rate']:.0f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
        )
    table.add_section()
    table.add_row(
        f"{bench['workers']} bare loops at once",
        f"{bench['cpu_ms_bare_workers']:.3f}",
        "1.00",
        f"{bench['rate_bare_workers']:.0f}",
    )
    for count, rate in bench["rate_workers"].items():
        ratio = bench["cpu_ratio_workers"][count]
        table.add_row(
            f"{bench['workers']} workers, {count} connections",
            f"{ratio * bench['cpu_ms_bare_workers']:.3f}",
            f"{ratio:.2f}",
            f"{rate:.0f}",
        )
    share = f"{bench['throughput_ratio']:.2f}"
    Console().print(
        table,
        f"{bench['workers']} workers answer {share} of what as many bare loops do; P99 of "
        f"/v2/health/live beside the load: {bench['live_p99_ms']:.1f} ms (one process), "
        f"{bench['live_p99_ms_workers']:.1f} ms (workers)",
        f"agent memory: {bench['rss_mb']:.0f} MB; of {bench['workers']} workers together "
        f"{bench['rss_mb_workers']:.0f} MB; CPU with tracking against without: "
        f"{bench['tracking_ratio']:.3f}",
        energy_line(bench["energy"]),
        sep="\n",
    )
    if peers:
        show_peers(bench["peers"])
    write_json(json_file, bench)


def show_peers(found: Mapping[str, Any]) -> None:
    """A row for each server, a column for each number of connections; then who was absent."""
    out = screen()
    title = (
        f"over two bare loops at once: {found['cpu_ms_bare']:.3f} ms of CPU, "
        f"{found['rate_bare']:.0f} images/s"
    )
    table = Table(title=title)
    table.add_column("server")
    counts = sorted({row["connections"] for row in found["rows"]})
    for what in ("CPU,", "req/s,"):
        add_numbers(table, *(f"{what}\n{count}" for count in counts))
    add_numbers(table, "MB")
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        by_name.setdefault(row["name"], []).append(row)
    for name, rows in by_name.items():
        table.add_row(
            name,
            *(f"{row['cpu_ratio']:.2f}" for row in rows),
            *(f"{row['throughput_ratio']:.2f}" for row in rows),
            f"{rows[0]['rss_mb']:.0f}",
        )
    out.print(table)
    for one in found["absent"]:
        click.echo(f"{one['name']} not measured: {one['why']}")
