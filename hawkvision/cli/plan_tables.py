"""A plan on a screen, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.output import Screen, add_numbers, add_target
from hawkvision.planning.costs import EdgeCosts, GatewayCosts
from hawkvision.planning.demand import EDGE, GATEWAY, LINK
from hawkvision.planning.plan import Plan, Row

NEVER = "-"


def show(out: Screen, plan: Plan, edge: EdgeCosts, gateway: GatewayCosts) -> None:
    """Tables of at most 80 columns, and what follows from them in words."""
    out.print(_targets(plan))
    out.print(_resources(plan))
    out.print(_cuts(plan))
    for line in verdict(plan):
        out.print(line)
    for side, source in (("edge", edge.source), ("gateway", gateway.source)):
        out.print(f"costs at the {side}: {source}")


def verdict(plan: Plan) -> list[str]:
    """Whether the rate is carried, what ends first, and what could be done."""
    asked, end = plan.asked, plan.saturates
    each = " at each agent" if asked.agents > 1 else ""
    most = f"at most {number(plan.largest_rate)} images/s{each}"
    first = f"{end.name} is used up first, at {number(end.saturates_at)}/s"
    if plan.carried:
        lines = [f"carried: {asked.rate:g} images/s{each}; {most}: {first}"]
    elif plan.largest_rate == 0:
        lines = [
            f"NOT CARRIED at any rate: over {plan.asked.deadline_ms:g} ms, the deadline, "
            "for more than 1 % of the answers without any queue"
        ]
    elif asked.rate < end.saturates_at:
        lines = [f"NOT CARRIED: too many answers after the deadline; {most}"]
    else:
        lines = [f"NOT CARRIED: {first}; {most}"]
    better = max((cut for cut in plan.cuts if cut.fits), key=lambda cut: cut.largest_rate)
    if not plan.carried and better.held != plan.held and better.largest_rate > asked.rate:
        lines.append(f"--rungs {better.held} carries it, up to {number(better.largest_rate)}/s")
    if plan.agents_per_gateway is not None:
        cores = f"{asked.gateway_cores} core" + ("s" if asked.gateway_cores > 1 else "")
        lines.append(f"agents like this at one gateway of {cores}: {plan.agents_per_gateway}")
    return lines


def _targets(plan: Plan) -> Table:
    asked, link = plan.asked, plan.asked.link
    table = Table(
        title=f"{plan.task} version {plan.version}: {asked.rate:g} images/s, "
        f"{link.rtt_ms:g} ms, {link.mbit:g} Mbit/s up, rungs held {plan.held}"
    )
    add_target(table)
    add_numbers(table, "share", "threshold", "escalated", "expected\naccuracy")
    add_numbers(table, "P50\nms", "P99\nms", "late")
    for row in (*plan.rows, plan.overall):
        if row is plan.overall:
            table.add_section()
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    return (
        "all" if row.accuracy is None else shown.target(row.accuracy),
        f"{row.share:.0%}",
        "" if row.threshold is None else f"{row.threshold:.3f}",
        f"{row.escalated:.1%}",
        f"{row.expected:.3f}",
        number(row.p50_ms),
        number(row.p99_ms),
        NEVER if row.late is None else f"{row.late:.1%}",
    )


def _resources(plan: Plan) -> Table:
    table = Table("resource")
    add_numbers(table, "used", "there", "in use", "of 1,000\nrequests", "ends at\nimages/s")
    kilobytes = plan.demand.up_bytes
    per_thousand = {
        EDGE: f"{plan.edge.cpu_s_per_thousand:.2f} s",
        GATEWAY: f"{plan.gateway.cpu_s_per_thousand:.2f} s",
        LINK: f"{kilobytes / 1e3:.2f} MB",
    }
    for one in plan.resources:
        unit = "Mbit/s" if one.name == LINK else "cores"
        table.add_row(
            one.name,
            f"{one.used:.2f} {unit}",
            f"{one.there:g}",
            f"{one.utilisation:.0%}",
            per_thousand.get(one.name, ""),
            number(one.saturates_at),
        )
    return table


def _cuts(plan: Plan) -> Table:
    table = Table(title="rungs at the edge; * in this plan")
    add_numbers(table, "held", "MB", "edge\ncores", "gateway\ncores", "up\nMbit/s", "most\n/s")
    table.add_column("ends by")
    table.add_column("by --rungs auto")
    for cut in plan.cuts:
        mark = "*" if cut.held == plan.held else ""
        chosen = "chosen: " if cut.held == plan.choice.held else ""
        table.add_row(
            f"{mark}{cut.held}",
            f"{cut.memory_mb:.0f}",
            f"{cut.edge.used:.2f}",
            f"{cut.gateway.used:.2f}",
            f"{cut.link.used:.2f}",
            number(cut.largest_rate),
            cut.ends,
            chosen + cut.why,
        )
    return table


def number(value: float | None) -> str:
    """Three digits, or all before the point; a dash for what never ends, or is not known."""
    if value is None or math.isinf(value):
        return NEVER
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def as_json(plan: Plan) -> dict[str, Any]:
    """For a file: numbers that are infinite are null."""
    body = asdict(plan)
    body["asked"]["mix"] = [
        {"accuracy": one.accuracy.as_json(), "share": one.share} for one in plan.asked.mix
    ]
    found: dict[str, Any] = _finite(body)
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
