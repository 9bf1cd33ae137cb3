"""`hawkvision bench fleet-sim`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.cli.output import add_numbers, progress_bar, screen, write_json
from hawkvision.errors import HawkVisionError
from loadtest.bench.fleet_sim import tables
from loadtest.bench.fleet_sim.against import compare, read_real
from loadtest.bench.fleet_sim.plot import write_plot
from loadtest.bench.fleet_sim.server_cost import measure_server
from loadtest.bench.fleet_sim.settings import AgentSettings, GatewayCosts, Phase, Simulation
from loadtest.bench.fleet_sim.store import Server
from loadtest.bench.fleet_sim.study import Progress, Study, run_study

POSITIVE = click.FloatRange(0, min_open=True)


def _numbers(text: str, count: int | None, name: str) -> tuple[float, ...]:
    """Raises BadParameter."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 0 or (count is not None and len(found) != count):
        wanted = "numbers" if count is None else f"{count} numbers"
        raise click.BadParameter(
            f"{wanted} with commas between them, not {text!r}", param_hint=name
        )
    return found


@click.command("fleet-sim", context_settings={"show_default": True})
@click.option("--task", default="roadsigns")
@click.option("--agents", default="10,50,500,2000,10000", help="Sizes of the fleet.")
@click.option("--rate", type=POSITIVE, default=0.5, help="An agent's, 1/s.")
@click.option("--targets", default="0.80,0.85,0.90,0.95")
@click.option("--gateways", type=click.IntRange(0), default=0, help="0: as many as it takes.")
@click.option("--known", type=click.IntRange(1, 32), default=4, help="Gateways an agent knows.")
@click.option("--before", type=POSITIVE, default=60.0, help="Seconds of calm traffic.")
@click.option("--drifted", type=POSITIVE, default=240.0, help="Seconds of drift, at least.")
@click.option(
    "--drift",
    type=click.FloatRange(0, 1),
    default=0.2,
    help="How damaged drifted images are: the share of each that a link took.",
)
@click.option("--drift-share", type=click.FloatRange(0, 1), default=0.5, help="Of the images.")
@click.option("--outage", type=click.FloatRange(0), default=2.0, help="Minutes without Redis.")
@click.option("--within", type=POSITIVE, default=0.05, help="Of a threshold: it has arrived.")
@click.option("--interval", type=POSITIVE, default=0.5, help="--tracking-interval of agents, s.")
@click.option(
    "--scrape", type=click.FloatRange(0), default=15.0, help="Seconds between an agent's; 0: never."
)
@click.option("--link-ms", type=click.FloatRange(0), default=20.0, help="To a gateway and back.")
@click.option("--threads", type=click.IntRange(1), default=2, help="A gateway's.")
@click.option("--batching", is_flag=True, help="Calls share batches, one at a time.")
@click.option(
    "--gateway-ms",
    default="0.58,0.11,0,0.33",
    help="A call's on the loop, decoding, a batch's set-up, an image's.",
)
@click.option(
    "--redis-us",
    default="7.0,2.0,0.24,1.4",
    help="A command sent, one of a script, a field read, a listener told.",
)
@click.option("--measure-redis", is_flag=True, help="Measure --redis-us here first.")
@click.option("--redis-cores", type=POSITIVE, default=1.0, help="So many times as quick.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of bench fleet: simulate its settings, side by side.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, help="With --against.")
@click.option("--seed", type=click.IntRange(0), default=11)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def command(
    agents: str,
    before: float,
    drifted: float,
    drift_share: float,
    outage: float,
    within: float,
    against: Path | None,
    seeds: int,
    json_file: Path | None,
    plot: Path | None,
    **options: Any,
) -> None:
    """A fleet of any size, simulated: gateways, Redis, thresholds after a drift, an outage."""
    console = screen()
    plan = _plan(options)
    if against is not None:
        result = {"plan": asdict(plan), **compare(read_real(against), plan, seeds)}
        console.print(_side_by_side(result))
        write_json(json_file, result)
        return
    sizes = tuple(int(one) for one in _numbers(agents, None, "--agents"))
    if min(sizes) < 1:
        raise click.BadParameter("a fleet has an agent at least", param_hint="--agents")
    study = Study(plan, sizes, before, drifted, drift_share, 60 * outage, within)
    with _progress() as progress:
        found = run_study(study, lambda text: click.echo(f"… {text}", err=True), progress)
    rows = found["sizes"]
    tabled = [tables.gateways(rows), tables.redis(rows), tables.thresholds(rows, within)]
    for table in [*tabled, tables.outages(rows)]:
        if table is not None:
            console.print(table)
    for row in rows:
        if not row["redis_holds"]:
            console.print(
                f"{row['agents']:,} agents are more than this Redis can serve: "
                f"{row['redis']['unanswered']:.0%} of their calls had no answer in time"
            )
    write_json(json_file, found)
    if plot is not None:
        write_plot(found, plot)
    if not all(_each_once(row) for row in rows):
        raise HawkVisionError("an answer was not counted once", hint="A fault of the simulation.")


def _each_once(row: dict[str, Any]) -> bool:
    runs = [row, *([row["outage"]] if "outage" in row else [])]
    return all(
        one["requests"] == one["answered"] == one["counted"] + one["kept"] + one["lost"]
        for one in runs
    )


def _plan(options: dict[str, Any]) -> Simulation:
    front, prepare, setup, each = (
        one / 1e3 for one in _numbers(options["gateway_ms"], 4, "--gateway-ms")
    )
    server = Server(*(one / 1e6 for one in _numbers(options["redis_us"], 4, "--redis-us")))
    if options["measure_redis"]:
        server = measure_server()
    cores = options["redis_cores"]
    costs = GatewayCosts(
        threads=options["threads"],
        batching=options["batching"],
        slots=1 if options["batching"] else options["threads"],
        front_s=front,
        prepare_s=prepare,
        setup_s=setup,
        each_s=each,
    )
    return Simulation(
        task=options["task"],
        agents=1,
        rate=options["rate"],
        targets=_numbers(options["targets"], None, "--targets"),
        gateways=options["gateways"],
        known=options["known"],
        phases=(Phase(1.0, 0.0),),
        server=replace(
            server,
            sent_s=server.sent_s / cores,
            inner_s=server.inner_s / cores,
            field_s=server.field_s / cores,
            told_s=server.told_s / cores,
        ),
        drift=options["drift"],
        costs=costs,
        agent=AgentSettings(
            link_s=options["link_ms"] / 1e3,
            every_s=options["interval"],
            scrape_s=options["scrape"],
        ),
        seed=options["seed"],
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """Virtual seconds, as they pass; on a terminal."""
    with progress_bar() as bar:
        line = bar.add_task("virtual seconds", total=1.0)

        def passed(seconds: float, whole: float) -> None:
            shown = bar.tasks[0]
            if shown.total != whole or shown.completed >= whole:
                bar.reset(line, total=whole)
            bar.advance(line, seconds)

        yield passed


def _side_by_side(result: dict[str, Any]) -> Table:
    table = Table(title=f"measured, and predicted with {result['seeds']} seeds")
    table.add_column("figure", no_wrap=True)
    add_numbers(table, "measured", "predicted", "least to most")
    for row in result["rows"]:
        form = ".3f" if abs(row["measured"]) < 10 else ",.0f"
        table.add_row(
            row["figure"],
            format(row["measured"], form),
            format(row["predicted"], form),
            f"{format(row['low'], form)} to {format(row['high'], form)}",
        )
    return table
