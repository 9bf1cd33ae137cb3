"""How results look on a screen and in a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hawkvision.taskbuild.evaluation import Row


def write_json(path: Path | None, body: Any) -> None:
    """Write `body` as indented JSON; nothing where no path was given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")


def screen() -> Console:
    """Standard output; tables keep their width where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=100)


def progress_bar() -> Progress:
    """A bar on standard error, shown only on a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def results_table(task: str, rows: Sequence[Row]) -> Table:
    """Accuracy target against what was delivered, and at what cost."""
    table = Table(title=f"task {task}")
    for name in ("accuracy asked", "delivered", "95 % interval", "escalated"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("p50 ms", "p99 ms", "kB up"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if row.achieved is None:
            highest = row.highest_certifiable
            why = ("no answer", "") if highest is None else ("refused", f"at most {highest:.3f}")
            table.add_row(share(row.target), *why)
            continue
        escalated = row.escalation_rate or 0.0
        mark = "" if row.certified else " !"
        table.add_row(
            share(row.target),
            f"{row.achieved:.3f}{mark}",
            f"{row.ci_low:.3f}-{row.ci_high:.3f}",
            f"{escalated:.0%}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.edge_bytes_up / 1000:.0f}",
        )
    return table


def share(target: float | str) -> str:
    """Two decimals, more where a target has more."""
    if isinstance(target, str):
        return target
    return max(f"{target:.2f}", f"{target:g}", key=len)
