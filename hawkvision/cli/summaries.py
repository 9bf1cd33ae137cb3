"""A task's certified targets as tables."""

from __future__ import annotations

from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.cli.output import add_numbers
from hawkvision.summary import Summary
from hawkvision.taskbuild.choosing import Choice

_CHAINS_SHOWN = 5


def chains_table(choice: Choice) -> Table:
    """The best chains, the chosen one first: what each is expected to cost and to reach.

    Escalated is what the first rung hands on at the highest target that was asked for, "up to" the
    highest that may be certified, and "sure" the chance that all that were asked for will be.
    """
    beaten = sorted(choice.ranking.beaten_by.items())
    table = Table(
        title=f"chains, as expected from {choice.fitting_images} images; * chosen",
        caption="; ".join(f"{name} left out, {better} is better" for name, better in beaten),
    )
    table.add_column("rungs")
    add_numbers(table, "edge\nMB", "mean\nms", "P99\nms", "escalated", "up to", "sure")
    for place, chain in enumerate(choice.ranking.chains[:_CHAINS_SHOWN]):
        table.add_row(
            f"{'*' if place == 0 else ' '}{' > '.join(chain.rungs)}",
            f"{chain.memory_mb:.1f}",
            f"{chain.mean_ms:.2f}",
            f"{chain.p99_ms:.1f}",
            f"{chain.escalated[-1]:.1%}" if chain.meets(choice.wanted) else "",
            shown.lower(chain.highest),
            f"{chain.chance:.0%}",
        )
    return table


def targets_table(summary: Summary) -> Table:
    """Accuracy target, threshold, escalation, and what a request costs on average."""
    table = Table(title=f"{summary.task} version {summary.version}: accuracy targets")
    add_numbers(table, "accuracy", "threshold", "escalated", "measured", "ms", "kB up")
    for row in summary.targets:
        if row.certified:
            table.add_row(
                shown.target(row.target),
                f"{row.threshold:.4f}",
                f"{row.escalation_rate:.1%}",
                f"{row.accuracy:.3f}",
                f"{row.expected_ms:.2f}",
                f"{row.kilobytes_up:.2f}",
            )
    refused = [row for row in summary.targets if not row.certified]
    if refused:
        table.caption = "; ".join(f"{shown.target(row.target)}: {row.reason}" for row in refused)
    return table


def relative_table(summary: Summary) -> Table:
    """Targets relative to the data center."""
    table = Table(title="relative to the data center")
    add_numbers(table, "at most below", "threshold", "escalated", "ms", "kB up")
    for row in summary.relative:
        table.add_row(
            f"{row.epsilon:g}",
            f"{row.threshold:.4f}",
            f"{row.escalation_rate:.1%}",
            f"{row.expected_ms:.2f}",
            f"{row.kilobytes_up:.2f}",
        )
    return table


def levels_table(summary: Summary) -> Table:
    """What packet loss does, with and without an intact copy on escalation."""
    table = Table(
        title=f"lost on the way; threshold for accuracy {shown.target(summary.default_accuracy)}"
    )
    add_numbers(table, "lost", "on escalation", "edge", "data\ncenter", "up to")
    add_numbers(table, "threshold", "escalated")
    for row in summary.levels:
        sent = "-" if row.loss == 0 else "sent again whole" if row.intact_resend else "as it came"
        table.add_row(
            f"{row.loss:.0%}",
            sent,
            f"{row.edge_accuracy:.3f}",
            f"{row.dc_accuracy:.3f}",
            shown.lower(row.highest_certifiable),
            "not certified" if row.threshold is None else f"{row.threshold:.4f}",
            "" if row.escalation_rate is None else f"{row.escalation_rate:.1%}",
        )
    return table
