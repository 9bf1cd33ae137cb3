"""`hawkvision accuracy`: what a running fleet delivers, by accuracy target and window."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from hawkvision.cli.output import screen, write_json
from hawkvision.client import Client
from hawkvision.client.requests import DEFAULT_URL

_SOURCES = ("feedback", "audits", "prediction")


@click.command("accuracy", context_settings={"show_default": True})
@click.option("--url", default=DEFAULT_URL)
@click.option("--task", help="Default: the agent's.")
@click.option("--app", help="Only the requests of an app.")
@click.option("--window", type=click.Choice(["5m", "1h", "24h"]), default="5m")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    url: str, task: str | None, app: str | None, window: str, watch: bool, json_file: Path | None
) -> None:
    """Show the accuracy delivered, its interval and source, and the thresholds in force."""
    with Client(url) as client:
        name = task or (None if app else client.tasks()[0].name)
        body = client.delivered(task=name, app=app)
        if not watch:
            screen().print(table(body, window))
            write_json(json_file, body)
            return
        with Live(table(body, window), console=screen(), auto_refresh=False) as live:
            while True:
                time.sleep(1)
                live.update(table(client.delivered(task=name, app=app), window), refresh=True)


def table(body: dict[str, Any], window: str) -> Table:
    """One line for each target, with the best source that there is."""
    title = f"{body.get('app') or body['task']}, last {window}"
    store = body["store"]
    since = store["unavailable_since"]
    if since is not None:
        when = time.strftime("%H:%M:%S", time.localtime(since))
        title += f"; store: unavailable since {when}, {store['backlog']} batches wait"
    shown = Table(title=title)
    for name in ("asked", "n", "delivered", "95 % interval", "from", "escalated"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("threshold", "state"):
        shown.add_column(name, justify="right", no_wrap=True)
    for target, row in body["windows"].get(window, {}).get("targets", {}).items():
        found = row["estimates"]
        source = next((one for one in _SOURCES if one in found), None)
        best = found.get(source, {})
        steered = body["thresholds"].get(target, {})
        shown.add_row(
            target,
            f"{row['requests']:.0f}",
            f"{best['value']:.3f}" if best else "",
            f"{best['low']:.3f}-{best['high']:.3f}" if best else "",
            f"{best['n']:.0f} {source}" if best else "",
            f"{row['escalation_rate'] or 0:.0%}",
            f"{steered['threshold']:.3f}" if steered else "",
            steered.get("state", "certified"),
        )
    return shown
