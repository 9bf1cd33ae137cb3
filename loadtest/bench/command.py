"""The command group `hawkvision bench`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hawkvision.commands.output import write_json
from loadtest.bench.server import ServerBench, run_server_bench


@click.group("bench")
def command() -> None:
    """Benchmarks: ratios from interleaved runs on this machine."""


@command.command("server", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--rounds", type=click.IntRange(1), default=5)
@click.option("--seconds", type=click.FloatRange(0.2), default=4.0, help="Of each measurement.")
@click.option("--connections", default="1,8", help="Closed-loop connections, e.g. 1,8.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def server(
    task: str, rounds: int, seconds: float, connections: str, json_file: Path | None
) -> None:
    """CPU of the edge agent for a locally answered request, against the bare loop."""
    counts = tuple(int(part) for part in connections.split(","))
    bench = run_server_bench(ServerBench(task, rounds, seconds, counts))
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
    Console().print(table, f"agent memory: {bench['rss_mb']:.0f} MB")
    write_json(json_file, bench)
