"""`python -m tests.attack`: attack a deployment on this machine, and say what held."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tests.attack import judge, show
from tests.attack.attacks import ATTACKS, MIX, OVERLOAD, QUIET, names_of
from tests.attack.deployment import Deployment, deployed
from tests.attack.record import Phase
from tests.attack.runner import Runner

_FIRST_QUIET_S = 10.0
_BETWEEN_S = 12.0
_SHORTEST_S, _LONGEST_S = 3.0, 30.0
_WARM_UP_SHARE = 0.2
_LOG_LINES = 5000


@click.command()
@click.option("--minutes", default=15.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--secure", is_flag=True, help="TLS and keys at every door, mTLS at the gateway.")
@click.option("--seconds", type=click.FloatRange(1), help="Of each attack, in place of --minutes.")
@click.option("--only", multiple=True, help="One phase, by name; again for more.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything.")
@click.option("--seed", default=0, help="Order of the attacks; 0 is the table's.")
@click.option("--list", "listed", is_flag=True, help="Name the attacks.")
@click.option(
    "--table",
    type=click.Path(exists=True, path_type=Path),
    help="Print a --json file as Markdown.",
)
def main(
    minutes: float,
    secure: bool,
    seconds: float | None,
    only: tuple[str, ...],
    json_file: Path | None,
    seed: int,
    listed: bool,
    table: Path | None,
) -> None:
    """Attack a real deployment while a normal client uses it; exit 1 where a criterion fails."""
    if listed:
        for attack in ATTACKS.values():
            click.echo(f"{attack.name:<17}{attack.door:<6}{attack.does}")
        click.echo(f"{MIX:<23}all of them at once, but for {OVERLOAD}")
        click.echo(f"{QUIET:<23}none: whether memory stays flat")
        return
    if table is not None:
        stored = json.loads(table.read_text("utf-8"))
        click.echo(show.markdown([Phase.parse(one) for one in stored["phases"]]))
        return
    phases = chosen(only, seed, secure=secure)
    with deployed(secure=secure) as deployment:
        if phases == [QUIET]:
            found = soak(deployment, minutes)
        else:
            found = run(deployment, phases, seconds or seconds_each(minutes, len(phases)))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    sys.exit(0 if found["held"] else 1)


def seconds_each(minutes: float, phases: int) -> float:
    """How long each attack may last, so that all of them take about so many minutes."""
    share = (60 * minutes - _FIRST_QUIET_S) / phases - _BETWEEN_S
    return min(_LONGEST_S, max(_SHORTEST_S, share))


def chosen(only: Sequence[str], seed: int, *, secure: bool = False) -> list[str]:
    """Names of the phases in their order. Raises click.BadParameter."""
    import random

    unknown = set(only) - {*ATTACKS, MIX, QUIET}
    if unknown:
        raise click.BadParameter(f"no attack {min(unknown)!r}; see --list")
    if QUIET in only:
        return [QUIET]
    if not secure and (
        alone := [name for name in only if name in ATTACKS and ATTACKS[name].secure]
    ):
        raise click.BadParameter(f"{alone[0]!r} needs --secure")
    names = list(only) or list(names_of(MIX, secure=secure))
    if seed:
        random.Random(seed).shuffle(names)
    return names if only else [*names, OVERLOAD, MIX]


def run(deployment: Deployment, names: Sequence[str], seconds: float) -> dict[str, Any]:
    """Every phase in turn, for so many seconds each, quiet before and between."""
    how = ", TLS and keys at every door" if deployment.secure else ""
    click.echo(
        f"agent, gateway and store ({_kind(deployment)}){how}; {len(names)} attacks of "
        f"{seconds:.0f} s, niced to 19\n"
    )
    click.echo(f"{show.HEADER}\n{show.UNITS}")
    runner = Runner(deployment)
    runner.quiet(_FIRST_QUIET_S)
    phases = []
    for name in names:
        phase = runner.attack(name, seconds + (5 if name == OVERLOAD else 0))
        phases.append(phase)
        click.echo("\n".join([show.row(phase), *show.reasons(phase)]))
        if not all(service.alive for service in deployment.services):
            click.echo("a service is gone; nothing more can be said")
            break
    quiet = runner.whole_quiet()
    click.echo(show.row(quiet))
    held = not any(judge.failed(phase) for phase in [*phases, quiet])
    return {
        **_where(deployment),
        "phases": [
            {**phase.as_dict(), "verdicts": [_said(one) for one in judge.verdicts(phase)]}
            for phase in [*phases, quiet]
        ],
        "held": held,
    }


def soak(deployment: Deployment, minutes: float) -> dict[str, Any]:
    """The normal client alone, and how memory grows."""
    runner = Runner(deployment)
    end, minute = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end:
        runner.quiet(min(60.0, max(1.0, end - time.monotonic())))
        minute += 1
        sizes = ", ".join(f"{one.name} {one.now().rss_mib:.0f}" for one in deployment.services)
        click.echo(f"{minute:>4} min  {sizes} MiB")
    quiet = runner.whole_quiet()
    click.echo(f"{show.HEADER}\n{show.row(quiet)}")
    grown = [
        judge.flat(one.name, runner.growth(one, 60 * minutes * _WARM_UP_SHARE))
        for one in deployment.services
    ]
    for one in grown:
        click.echo(f"{one.criterion}: {one.why}  {'PASS' if one.held else 'FAIL'}")
    held = all(one.held for one in grown) and not judge.failed(quiet)
    said = [_said(one) for one in grown]
    phase = {**quiet.as_dict(), "verdicts": said}
    return {**_where(deployment), "phases": [phase], "growth": said, "held": held}


def _said(verdict: judge.Verdict) -> dict[str, Any]:
    return {"criterion": verdict.criterion, "held": verdict.held, "why": verdict.why}


def _kind(deployment: Deployment) -> str:
    """Of the store: the scheme of its address."""
    return deployment.store.partition(":")[0]


def _where(deployment: Deployment) -> dict[str, Any]:
    return {
        "store": _kind(deployment),
        "secure": deployment.secure,
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "load": os.getloadavg(),
        "date": time.strftime("%Y-%m-%d"),
        "logs": {one.name: one.child.said[:_LOG_LINES] for one in deployment.services},
    }


if __name__ == "__main__":
    main()
