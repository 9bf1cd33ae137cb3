"""The record as a table: 80 columns for a terminal, Markdown for docs/security.md."""

from __future__ import annotations

from collections.abc import Sequence

from tests.attack.attacks import ATTACKS, MIX
from tests.attack.judge import failed
from tests.attack.record import Phase

HEADER = f"{'phase':<16}{'answered':>10}{'degr.':>6}{'P50':>6}{'P99':>7}{'edge':>11}{'gw':>11}  "
UNITS = f"{'':<16}{'of sent':>10}{'':>6}{'ms':>6}{'ms':>7}{'peak/after':>11}{'MiB':>11}  "


def row(phase: Phase) -> str:
    """One line of at most 80 columns."""
    answered = sum(one.answered for one in phase.served.values())
    sent = sum(one.sent for one in phase.served.values())
    http = phase.served["http"]
    sizes = [
        f"{one.peak - one.before:+.0f}/{one.after - one.before:+.0f}"
        for one in phase.services.values()
    ]
    verdict = "FAIL" if failed(phase) else "PASS"
    return (
        f"{phase.name:<16}{f'{answered}/{sent}':>10}{sum(http.degraded.values()):>6}"
        f"{_ms(http.p50_ms):>6}{_ms(http.p99_ms):>7}"
        + "".join(f"{size:>11}" for size in (sizes or ["", ""]))
        + f"  {verdict}"
    )


def reasons(phase: Phase) -> list[str]:
    """A line for each criterion that did not hold."""
    return [f"    {one.criterion}: {one.why}"[:80] for one in failed(phase)]


def markdown(phases: Sequence[Phase]) -> str:
    """The table of results."""
    lines = [
        "| attack | what it does | answered | degraded | P99, quiet → beside, ms "
        "| agent, gateway: peak MiB over before | held |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_line(phase) for phase in phases]
    return "\n".join(lines)


def _line(phase: Phase) -> str:
    http = phase.served["http"]
    answered = ", ".join(f"{one.answered}/{one.sent}" for one in phase.served.values())
    peaks = ", ".join(f"{one.peak - one.before:.0f}" for one in phase.services.values())
    wrong = ", ".join(one.criterion for one in failed(phase))
    held = f"no: {wrong}" if wrong else "yes"
    cells = (
        f"`{phase.name}`",
        does(phase.name),
        answered,
        str(sum(http.degraded.values())),
        f"{_ms(phase.quiet_p99_ms)} → {_ms(http.p99_ms)}",
        peaks or "–",
        held,
    )
    return "| " + " | ".join(cells) + " |"


def does(name: str) -> str:
    """What a phase is, in words."""
    if name == MIX:
        return "all of these at once, but for `overload`"
    return ATTACKS[name].does if name in ATTACKS else "the normal client alone"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
