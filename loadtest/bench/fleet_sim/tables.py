"""What a study says, as tables of at most 80 columns."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.output import add_numbers

Rows = list[dict[str, Any]]


def gateways(rows: Rows) -> Table:
    """How loaded they were while the traffic had drifted."""
    table = Table(title="gateways, while traffic has drifted")
    add_numbers(table, "agents", "gate-\nways", "calls\n1/s", "threads\nbusy", "loop\nbusy")
    add_numbers(table, "batch", "wait P99\nms", "answer\nP99 ms", "re-\nfused")
    for row in rows:
        found = row["gateway"]
        table.add_row(
            f"{row['agents']:,}",
            str(found["gateways"]),
            f"{found['calls_per_s']:,.0f}",
            f"{found['busy']:.0%}",
            f"{found['front']:.0%}",
            f"{found['batch']:.1f}",
            f"{found['wait_p99_ms']:.1f}",
            f"{found['escalation_p99_ms']:.0f}",
            f"{found['refused'] + found['late']:,}",
        )
    return table


def redis(rows: Rows) -> Table:
    """What one Redis is asked, calm and drifted."""
    table = Table(title="Redis: calm → drifted")
    add_numbers(table, "agents", "calls\nk/s", "commands\nk/s", "MB/s\nin", "MB/s\nout")
    add_numbers(table, "core\nbusy", "published\n1/s", "un-\nanswered")
    for row in rows:
        both = [row["redis"]["calm"], row["redis"]["drifted"]]
        table.add_row(
            f"{row['agents']:,}",
            _arrow([one["sent_per_s"] / 1e3 for one in both], ".1f"),
            _arrow([sum(one["commands_per_s"].values()) / 1e3 for one in both], ".1f"),
            _arrow([one["bytes_in_per_s"] / 1e6 for one in both], ".1f"),
            _arrow([one["bytes_out_per_s"] / 1e6 for one in both], ".1f"),
            _arrow([one["busy"] for one in both], ".0%"),
            _arrow([one["published_per_s"] for one in both], ".1f"),
            f"{row['redis']['unanswered']:.1%}",
        )
    return table


def _arrow(values: list[float], form: str) -> str:
    return "\n→ ".join(format(value, form) for value in values)


def thresholds(rows: Rows, within: float) -> Table:
    """How soon they followed the drift."""
    table = Table(title=f"after the drift began: thresholds within {within:g}, accuracy back")
    add_numbers(table, "agents", "target", "before", "fixed", "steered")
    add_numbers(table, "threshold", "within\ns", "back\ns")
    for row in rows:
        for place, one in enumerate(row["thresholds"]):
            table.add_row(
                f"{row['agents']:,}" if place == 0 else "",
                shown.target(one["target"]),
                f"{one['before']:.3f}",
                f"{one['fixed']:.3f}",
                f"{one['settled']:.3f}",
                f"{one['certified_threshold']:.2f} → {one['settled_threshold']:.2f}",
                _seconds(one["threshold_s"]),
                _seconds(one["accuracy_s"]),
            )
        table.add_section()
    return table


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:,.0f}"


def outages(rows: Rows) -> Table | None:
    """What an outage cost; None where there was none."""
    found = [(row["agents"], row["outage"]) for row in rows if "outage" in row]
    if not found:
        return None
    minutes = found[0][1]["minutes"]
    table = Table(title=f"Redis out for {minutes:g} minutes as the drift begins")
    add_numbers(table, "agents", "answers\nwaiting", "batches", "lost", "delivered\nafter s")
    add_numbers(table, "strayed\nmost", "at\ntarget")
    for agents, one in found:
        worst = min(one["rows"], key=lambda row: float(row["strayed"]))
        table.add_row(
            f"{agents:,}",
            f"{one['waiting']:,.0f}",
            f"{one['batches']:,}",
            f"{one['lost']:,.0f}",
            _seconds(one["delivered_s"]),
            f"{worst['strayed']:+.3f}",
            shown.target(worst["target"]),
        )
    return table
