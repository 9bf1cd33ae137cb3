"""A study as SVG: what grows with the fleet, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_plot(study: dict[str, Any], path: Path) -> None:
    """Redis, gateways and convergence over the number of agents (extra `report`)."""
    from hawkvision.taskbuild.report.plots import BLUE, GREEN, GREY, ORANGE, new_figure, to_svg_file

    rows = study["sizes"]
    agents = [row["agents"] for row in rows]
    figure, axes = new_figure(9.6, 3.2, 3)
    for name, color in (("calm", BLUE), ("drifted", ORANGE)):
        busy = [row["redis"][name]["busy"] for row in rows]
        axes[0].plot(agents, busy, color=color, marker="o", label=name)
    axes[0].axhline(1.0, color=GREY, linestyle="--", label="one core")
    axes[0].set(ylabel="cores of a Redis", xscale="log", yscale="log")
    gateways = [row["gateway"]["gateways"] for row in rows]
    p99 = [row["gateway"]["escalation_p99_ms"] for row in rows]
    axes[1].plot(agents, gateways, color=GREEN, marker="o", label="gateways")
    axes[1].plot(agents, p99, color=BLUE, marker="o", label="escalated, P99 ms")
    axes[1].set(xscale="log", yscale="log")
    for place, color in enumerate((GREY, GREEN, BLUE, ORANGE)):
        found = [
            (row["agents"], max(1, row["thresholds"][place]["threshold_s"]))
            for row in rows
            if place < len(row["thresholds"])
            and row["thresholds"][place]["threshold_s"] is not None
        ]
        if found:
            target = rows[0]["thresholds"][place]["target"]
            axes[2].plot(*zip(*found, strict=True), color=color, marker="o", label=f"{target:g}")
    axes[2].set(ylabel="s to the new threshold", xscale="log", yscale="log")
    for axis in axes:
        axis.set(xlabel="agents")
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_svg_file(figure, "fleet"), "utf-8")
