"""The command group `hawkvision bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hawkvision.cli.output import add_numbers, progress_bar, screen, write_json
from hawkvision.repository import shipped_repository
from loadtest.bench.chain_command import chain
from loadtest.bench.concealment import ConcealmentBench, run_concealment_bench
from loadtest.bench.concealment import write_plot as write_concealment_plot
from loadtest.bench.drift import DRIFTS, DriftBench, run_drift_bench, write_plot
from loadtest.bench.engines import EnginesBench, run_engines_bench
from loadtest.bench.fleet.command import command as fleet_command
from loadtest.bench.fleet_sim.command import command as fleet_sim_command
from loadtest.bench.gateway import GatewayBench, run_gateway_bench
from loadtest.bench.gateway import write_plot as write_gateway_plot
from loadtest.bench.lossy import CONDITIONS, LossyBench, run_lossy_bench
from loadtest.bench.lossy import write_plot as write_lossy_plot
from loadtest.bench.modeless.command import command as modeless_command
from loadtest.bench.plan.command import command as plan_command
from loadtest.bench.server_command import command as server_command
from loadtest.bench.transport import run_transport_bench, suites_of
from loadtest.link.namespaces import why_not


@click.group("bench")
def command() -> None:
    """Benchmarks: ratios from interleaved runs on this machine."""


command.add_command(fleet_command)
command.add_command(fleet_sim_command)
command.add_command(chain)
command.add_command(modeless_command)
command.add_command(plan_command)
command.add_command(server_command)


_CPU = ("CPU ms", "of bare, CPU")


@command.command("gateway", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--seconds", type=click.FloatRange(0.2), default=4.0, help="Of each measurement.")
@click.option("--agents", default="1,8,64", help="Simulated edge agents, e.g. 1,8,64.")
@click.option("--deadline-ms", type=click.FloatRange(5), default=250.0, help="Under overload.")
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    help="Virtual environment with nvidia-pytriton, for a Triton beside it.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def gateway(
    task: str,
    rounds: int,
    seconds: float,
    agents: str,
    deadline_ms: float,
    triton: Path | None,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """Escalations at the gateway, batching on and off, against the bare batched loop."""
    counts = tuple(int(part) for part in agents.split(","))
    bench = run_gateway_bench(GatewayBench(task, rounds, seconds, counts, deadline_ms, triton))
    table = Table("agents", "batching", "req/s", "of bare", "p50 ms", "p99 ms", *_CPU, title=task)
    for cell in bench["cells"]:
        table.add_row(
            str(cell["agents"]),
            "on" if cell["batching"] else "off",
            f"{cell['rate']:.0f}",
            f"{cell['ratio']:.2f}",
            f"{cell['p50_ms']:.1f}",
            f"{cell['p99_ms']:.1f}",
            f"{cell['cpu_ms']:.2f}",
            f"{cell['cpu_ratio']:.2f}",
        )
    for row in bench["triton"]:
        ratio = row["rate"] / max(bench["bare_rate"].values())
        table.add_row(
            str(row["agents"]),
            "Triton",
            f"{row['rate']:.0f}",
            f"{ratio:.2f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['cpu_ratio']:.2f}",
        )
    rates = ", ".join(f"{rate:.0f} in batches of {n}" for n, rate in bench["bare_rate"].items())
    Console().print(
        table,
        f"bare loop, images a second: {rates}",
        f"twice the load it can take, deadline {deadline_ms:g} ms: "
        f"{bench['within_deadline']:.1%} of admitted calls in time, "
        f"{bench['within_deadline_unbatched']:.1%} without batching, "
        f"refusals P99 {bench['refusal_p99_ms']:.1f} ms",
        f"128 callers that retry: {bench['goodput_retrying']:.0%} of the best rate is answered",
        *([f"no Triton: {bench['triton_absent']}"] if bench["triton_absent"] else []),
        sep="\n",
    )
    write_json(json_file, bench)
    if plot is not None:
        write_gateway_plot(bench, plot)


@command.command("engines", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option(
    "--model-repository",
    "repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the task is.",
    show_default="the shipped one",
)
@click.option("--engine", "engines", multiple=True, help="One option for each; default: all.")
@click.option("--rung", "rungs", multiple=True, help="One option for each; default: all.")
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1, 256), default=(1, 8, 32))
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--seconds", type=click.FloatRange(0.01), default=0.5, help="Of each, a round.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Compute threads of a CPU.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def engines(repository: Path | None, json_file: Path | None, **options: Any) -> None:
    """Every engine that runs here on one task's rungs, runs interleaved; trtexec too if there."""
    bench = EnginesBench(repository or shipped_repository(), **options)
    result = run_engines_bench(bench, lambda text: click.echo(f"... {text}", err=True))
    table = Table(title=f"task {bench.task}")
    for name in ("engine", "rung", "type"):
        table.add_column(name, no_wrap=True)
    add_numbers(table, "batch", "P50\nms", "P99\nms", "images\na second", "joules\nan image")
    for row in result["rows"]:
        joules = row["joules_per_image"]
        table.add_row(
            row["engine"] + ("" if row["agrees"] in (True, None) else " !"),
            row["rung"],
            row["precision"],
            str(row["batch"]),
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['images_per_s']:.0f}",
            "-" if joules is None else f"{joules:.4f}",
        )
    out = screen()
    if result["rows"]:
        out.print(table)
    if any(row["agrees"] is False for row in result["rows"]):
        out.print("! its answers are not the certified ones: hawkvision calibrate --engine NAME")
    for why in sorted({row["joules"] for row in result["rows"]} - {""}):
        out.print(f"joules: {why}")
    absent: dict[tuple[str, str], list[str]] = {}
    for one in result["absent"]:
        absent.setdefault((one["engine"], one["why"]), []).append(one["rung"])
    for (engine, why), where in absent.items():
        out.print(f"{engine} ({', '.join(where)}) not measured: {why.removeprefix(engine + ': ')}")
    write_json(json_file, result)


@command.command("drift", context_settings={"show_default": True})
@click.option("--task", default="roadsigns")
@click.option("--drift", type=click.Choice(sorted(DRIFTS)), default="low-light")
@click.option("--accuracy", "target", type=click.FloatRange(0.01, 0.999), default=0.9)
@click.option("--data", help="Folder or tar with a split val.", show_default="drawn road signs")
@click.option("--images", type=click.IntRange(50), default=1000, help="Different ones.")
@click.option("--clean", type=click.IntRange(250), default=2000, help="Requests before the drift.")
@click.option("--drifted", type=click.IntRange(500), default=5000)
@click.option("--after", type=click.IntRange(250), default=4000)
@click.option("--concurrency", type=click.IntRange(1, 64), default=4)
@click.option("--seed", type=click.IntRange(0), default=7)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def drift(json_file: Path | None, plot: Path | None, **options: Any) -> None:
    """Delivered accuracy when traffic turns bad: a fixed threshold against a steered one."""
    bench = DriftBench(**options)
    with progress_bar() as bar:
        line = bar.add_task("drift", total=bench.clean + bench.drifted + bench.after)
        result = run_drift_bench(bench, lambda count: bar.advance(line, count))
    table = Table("", "fixed", "steered", title=f"{bench.task}, {bench.drift}, {bench.target:g}")
    for name, key in (("accuracy late in the drift", "accuracy"), ("escalated", "escalation")):
        pair = (result[f"{key}_fixed"], result[f"{key}_controlled"])
        table.add_row(name, *(f"{value:.3f}" for value in pair))
    recovered = result["recovered_after"]
    Console().print(
        table,
        f"best reachable {result['best_reachable']:.3f}; recovered after "
        f"{'never' if recovered is None else recovered} requests; at most "
        f"{result['audit_share']:.1%} audited in 2,500; threshold {result['threshold_floor']:.3f} "
        f"certified, {result['threshold_after']:.3f} at the end, spread "
        f"{result['threshold_spread']:.3f} late in the drift",
    )
    write_json(json_file, result)
    if plot is not None:
        write_plot(result, plot)


@command.command("lossy", context_settings={"show_default": True})
@click.option("--task", help="Default: imagenette with data, else roadsigns.")
@click.option("--accuracy", type=click.FloatRange(0.01, 0.999), default=0.9)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="HAWKVISION_DATA",
    help="Folder with imagenette.tar.gz and large-photos.tar.gz.",
    show_default="drawn road signs",
)
@click.option(
    "--loss",
    "conditions",
    multiple=True,
    type=click.Choice(list(CONDITIONS)),
    default=tuple(CONDITIONS),
    help="Link conditions, one option for each.",
)
@click.option("--parity", default="auto", help="Packets in a hundred, or auto.")
@click.option("--scale", type=click.FloatRange(0.05, 20), default=1.0, help="Of image counts.")
@click.option("--seed", type=click.IntRange(0), default=7)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def lossy(
    task: str | None,
    data: Path | None,
    parity: str,
    json_file: Path | None,
    plot: Path | None,
    **options: Any,
) -> None:
    """Time to answer over a lossy link: HTTP over TCP cubic and bbr against RTP.

    With root in network namespaces; else behind relays, where TCP meets no loss.
    """
    bench = LossyBench(
        task=task or ("roadsigns" if data is None else "imagenette"),
        data=data,
        parity=None if parity == "auto" else float(parity),
        **options,
    )
    reason = why_not()
    if reason is not None:
        click.echo(f"behind relays, TCP without loss only: {reason}", err=True)
    console = Console() if Console().is_terminal else Console(width=140)
    result = run_lossy_bench(bench, lambda text: console.print(f"… {text}"))
    table = Table(title=f"15 Mbit/s, 20 ms each way; task {bench.task}, accuracy {bench.accuracy}")
    for name in ("size", "loss", "transport", "P50 ms", "P99 ms", "by deadline", "as undamaged"):
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "escalated", "degraded"):
        table.add_column(name, no_wrap=True)
    for cell in result["cells"]:
        right = cell["accuracy"]
        table.add_row(
            cell["size"],
            str(cell["loss"]),
            cell["transport"],
            f"{cell['p50_ms']:.0f}",
            f"{cell['p99_ms']:.0f}",
            f"{cell['by_deadline']:.1%}",
            f"{cell['top1']:.1%}",
            "" if right is None else f"{right:.3f} ({cell['accuracy_undamaged']:.3f})",
            f"{cell['escalation_rate']:.0%}",
            f"{cell['degraded_rate']:.0%}",
        )
    console.print(table)
    write_json(json_file, result)
    if plot is not None:
        write_lossy_plot(result, plot)


@command.command("concealment", context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--accuracy", type=click.FloatRange(0.01, 0.999), default=0.9)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder or tar with a split val; of imagenette.tar.gz the third that nothing has seen.",
)
@click.option("--limit", type=click.IntRange(10))
@click.option("--seed", type=click.IntRange(0), default=7)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="SVG.")
def concealment(json_file: Path | None, plot: Path | None, **options: Any) -> None:
    """Accuracy against the share of the image that a lossy link took."""
    bench = ConcealmentBench(**options)
    with progress_bar() as bar:
        line = bar.add_task("concealment", total=None)
        result = run_concealment_bench(bench, lambda: bar.advance(line))
    title = f"{bench.task}, {result['images']} images, target {bench.accuracy:g}"
    table = Table("lost", "edge, grey", "edge, concealed", "data center", title=title)
    for name in ("intact threshold", "loss-aware", "certified"):
        table.add_column(name)
    for row in result["rows"]:
        table.add_row(
            f"{row['lost_measured']:.1%}",
            *(f"{row[key]:.3f}" for key in ("edge_grey", "edge_concealed", "dc_concealed")),
            *(
                f"{row[f'{kind}_accuracy']:.3f} ({row[f'{kind}_escalation']:.0%} up)"
                for kind in ("intact", "aware")
            ),
            f"{row['certified']:.0%}",
        )
    Console().print(table)
    write_json(json_file, result)
    if plot is not None:
        write_concealment_plot(result, plot)


@command.command("transport", context_settings={"show_default": True})
@click.option("--suites", default="none,AES_CM_128_HMAC_SHA1_80,AEAD_AES_128_GCM")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def transport(suites: str, json_file: Path | None) -> None:
    """CPU of receiving an image of ten packets, before it is decoded."""
    names = suites_of(suites)
    with progress_bar() as bar:
        line = bar.add_task("transport", total=None)
        result = run_transport_bench(names, lambda: bar.advance(line))
    table = Table("suite", "core, ms an image", "with a UDP socket", title="10 packets an image")
    table.add_column("2 ms apart")
    for name, found in result["suites"].items():
        table.add_row(
            name,
            f"{found['core_ms']:.3f}",
            f"{found['with_socket_ms']:.3f}",
            f"{found['with_socket_paused_ms']:.3f}",
        )
    Console().print(table)
    write_json(json_file, result)
