"""`hawkvision plan`: its options, and what the plan is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hawkvision.cli.measuring import Measuring, measure
from hawkvision.cli.output import screen, write_json
from hawkvision.cli.plan_tables import as_json, show
from hawkvision.cli.stand_ins import photos_in, stand_ins
from hawkvision.planning import cost_files
from hawkvision.planning import costs as known
from hawkvision.planning.asked import Asked, parse_link, parse_mix
from hawkvision.planning.costs import EdgeCosts, GatewayCosts
from hawkvision.planning.demand import Demand, demand
from hawkvision.planning.plan import make_plan
from hawkvision.planning.traffic import chain_of, targets_of
from hawkvision.repository import Repository, Task, shipped_repository
from hawkvision.serving.rung_options import megabytes, rungs

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("plan", context_settings={"show_default": True})
@click.option("--task", "name", show_default="the only one", help="Of the model repository.")
@click.option(
    "--model-repository",
    "root",
    type=_folder,
    default=shipped_repository,
    show_default="the tasks that ship",
)
@click.option(
    "--rate",
    type=click.FloatRange(1e-3, 1e6),
    required=True,
    help="Images a second at each agent, Poisson.",
)
@click.option(
    "--targets",
    metavar="TARGET[:WEIGHT],...",
    show_default="the task's default",
    help="What is asked for, e.g. 0.80:1,0.90:2.",
)
@click.option(
    "--link",
    default="rtt_ms=20,mbit=20",
    metavar="rtt_ms=N,mbit=N|NAME",
    help="lan, wifi, 5g, lte, dsl, satellite, or numbers; down_mbit= too.",
)
@click.option("--agents", type=click.IntRange(1, 10_000), default=1, help="At one gateway.")
@click.option("--edge-cores", type=click.IntRange(1, 64), default=1, help="A worker on each.")
@click.option("--gateway-cores", type=click.IntRange(1, 64), default=1, help="A thread on each.")
@click.option(
    "--rungs",
    "held",
    type=rungs,
    default="auto",
    metavar="N|auto",
    help="Held by an agent; auto: what it would choose.",
)
@click.option(
    "--memory", "memory_mb", type=megabytes, metavar="SIZE", show_default="no bound",
    help="For rungs, e.g. 200MB.",
)  # fmt: skip
@click.option("--deadline-ms", type=click.FloatRange(1, 3.6e6), default=1000.0)
@click.option("--audit-share", type=click.FloatRange(0, 0.5), default=0.03)
@click.option("--delta", type=click.FloatRange(1e-6, 0.5), default=0.05)
@click.option(
    "--measure", "measured", is_flag=True,
    help="Measure costs here: starts an agent and a gateway for half a minute.",
)  # fmt: skip
@click.option("--photos", type=_folder, help="Of yours, for --measure.", show_default="noise")
@click.option("--edge-costs", type=_file, help="What --measure wrote by --json on that machine.")
@click.option("--gateway-costs", type=_file, help="The same of the gateway's machine.")
@click.option(
    "--edge-slower",
    type=click.FloatRange(0.01, 1000),
    default=1.0,
    help="So many times as long everything takes at the edge.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Of the simulation.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    name: str | None,
    root: Path,
    targets: str | None,
    link: str,
    held: int | str,
    seed: int,
    json_file: Path | None,
    **options: Any,
) -> None:
    """What a rate of images will take, and whether it can be carried.

    Processors, link, waiting and accuracy from a task's own calibration; no photos are needed. The
    exit code is 1 where the rate cannot be carried.
    """
    costs = {key: options.pop(key) for key in _OF_COSTS}
    task = _task(Repository(root), name)
    asked = Asked(
        mix=parse_mix(str(task.default_accuracy) if targets is None else targets),
        link=parse_link(link),
        rungs=held if isinstance(held, int) else None,
        **options,
    )
    edge, gateway = _costs(task, root, asked, **costs)
    plan = make_plan(task, asked, edge, gateway, seed=seed)
    show(screen(), plan, edge, gateway)
    write_json(json_file, {**as_json(plan), "costs": cost_files.as_json(edge, gateway, task.name)})
    if not plan.carried:
        raise click.exceptions.Exit(1)


_OF_COSTS = ("measured", "photos", "edge_costs", "gateway_costs", "edge_slower")


def _task(repository: Repository, name: str | None) -> Task:
    """Raises click.UsageError where none is named and there are several."""
    if name is None:
        names = repository.tasks()
        if len(names) != 1:
            raise click.UsageError(f"give --task: {', '.join(names) or 'none'}")
        name = names[0]
    return repository.open(name)


def _costs(
    task: Task,
    root: Path,
    asked: Asked,
    *,
    measured: bool,
    photos: Path | None,
    edge_costs: Path | None,
    gateway_costs: Path | None,
    edge_slower: float,
) -> tuple[EdgeCosts, GatewayCosts]:
    """Of files, else measured, else task.toml's. Raises HawkVisionError."""
    if photos is not None and not measured:
        raise click.UsageError("--photos goes with --measure")
    count = len(task.rungs)
    edge: EdgeCosts | None = None
    gateway: GatewayCosts | None = None
    if measured:
        edge, gateway = _measured(task, root, asked, photos)
    if edge_costs is not None:
        edge = cost_files.read_edge(edge_costs, task.name, count)
    if gateway_costs is not None:
        gateway = cost_files.read_gateway(gateway_costs, task.name, count)
    return known.slower_edge(edge or known.edge_costs(task), edge_slower), (
        gateway or known.gateway_costs(task)
    )


def _measured(
    task: Task, root: Path, asked: Asked, photos: Path | None
) -> tuple[EdgeCosts, GatewayCosts]:
    images = stand_ins(task.scores()) if photos is None else photos_in(photos)
    rate = asked.agents * asked.rate * expected_up(task, asked)
    wanted = Measuring(task, root, images, asked.rate, rate)
    return measure(wanted, lambda text: click.echo(f"... {text}", err=True))


def expected_up(task: Task, asked: Asked) -> float:
    """The share of requests whose image goes over the link, before any cost is known."""
    scores = task.scores()
    targets = targets_of(task, scores, asked.mix, asked.delta)
    chain = chain_of(scores, task.thresholds, min(asked.rungs or 1, len(task.rungs)))
    found: Demand = demand(asked, targets, chain, known.edge_costs(task), known.gateway_costs(task))
    return found.up
