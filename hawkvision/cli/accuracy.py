"""`hawkvision accuracy`: what a running fleet delivers, by accuracy target and window."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.asking import key_option
from hawkvision.cli.output import Folded, add_numbers, add_target, screen, write_json
from hawkvision.client import Client
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.contract.delivered import CERTIFIED, Report, Tally, Threshold


@click.command("accuracy", context_settings={"show_default": True})
@click.option("--url", default=DEFAULT_URL)
@key_option
@click.option("--task", help="Default: the agent's.")
@click.option("--app", help="Only the requests of an app.")
@click.option("--window", type=click.Choice(["5m", "1h", "24h"]), default="5m")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    url: str,
    key: str | None,
    task: str | None,
    app: str | None,
    window: str,
    watch: bool,
    json_file: Path | None,
) -> None:
    """Show the accuracy delivered, its interval and source, and the thresholds in force."""
    with Client(url, key=key) as client:
        name = task or (None if app else client.tasks()[0].name)
        report = client.delivered(task=name, app=app)
        if not watch:
            screen().print(table(report, window))
            write_json(json_file, report.as_dict())
            return
        with Live(Folded(table(report, window)), console=screen(), auto_refresh=False) as live:
            while True:
                time.sleep(1)
                report = client.delivered(task=name, app=app)
                live.update(Folded(table(report, window)), refresh=True)


def table(report: Report, window: str) -> Table:
    """Each target with the source that rests on enough samples: what is less sure stands below."""
    shown_table = Table(title=_title(report, window))
    add_target(shown_table)
    add_numbers(
        shown_table,
        "requests",
        "delivered\n95 % interval",
        "samples,\nfrom",
        "escalated",
        "threshold,\nstate",
    )
    found = report.windows.get(window)
    for target, tally in ({} if found is None else found.targets).items():
        shown_table.add_row(target, *_cells(tally, report.thresholds.get(target)))
    return shown_table


def _title(report: Report, window: str) -> str:
    title = f"{report.task if report.app is None else report.app.app.app}, last {window}"
    since = report.store.unavailable_since
    if since is None:
        return title
    when = time.strftime("%H:%M:%S", time.localtime(since))
    return f"{title}; store: unavailable since {when}, {report.store.backlog} batches wait"


def _cells(tally: Tally, steered: Threshold | None) -> tuple[str, ...]:
    best = tally.best
    return (
        f"{tally.requests:.0f}",
        f"{best.value:.3f}\n{shown.interval(best.low, best.high)}" if best else "",
        f"{best.n:.0f}\n{best.source}" if best else "",
        f"{tally.escalation_rate or 0:.0%}",
        f"{steered.threshold:.3f}\n{steered.state}" if steered else CERTIFIED,
    )
