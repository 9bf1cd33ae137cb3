"""`hawkvision fpga`: a quantized model to hardware, step by step, and what that hardware does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fpga.network.profiles import PROFILES
from fpga.tools.cache import cache_folder
from fpga.tools.needs import SIMULATION, SYNTHESIS, naming_missing_modules
from fpga.tools.progress import telling
from hawkvision.cli.output import progress_bar, screen, write_json
from hawkvision.datasets import open_labelled
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, shipped_repository

_STEPS = ("import", "streamline", "fold", "fifos", "generate", "simulate", "size", "package")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_plan = click.argument("plan", type=_file)
_json = click.option("--json", "json_file", type=click.Path(path_type=Path))
_images = click.option("--images", type=click.IntRange(2, 10_000), default=100)
_stalls = click.option("--stalls", type=click.IntRange(0, 90), default=30, help="Percent.")
_seed = click.option("--seed", type=click.IntRange(0), default=1)
_show = {"show_default": True}


class _Command(click.Command):
    """Imports what it needs when it runs, so that help needs none of it."""

    def invoke(self, ctx: click.Context) -> Any:
        with naming_missing_modules(f"`hawkvision fpga {ctx.info_name}`"):
            return super().invoke(ctx)


class _Commands(click.Group):
    command_class = _Command


@click.group("fpga", cls=_Commands)
def command() -> None:
    """The FPGA edge: quantized networks as streaming hardware."""


@command.command("compile", context_settings=_show)
@click.argument("source", type=_file)
@click.option("--profile", type=click.Choice(tuple(PROFILES)), default="accurate")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Build folder.")
@click.option("--step", "steps", multiple=True, type=click.Choice(_STEPS), help="Only these.")
@click.option("--side", type=click.IntRange(4, 256), default=32, help="Pixels of a picture.")
@_images
@_stalls
@_seed
def compile_(
    source: Path,
    profile: str,
    out: Path,
    steps: tuple[str, ...],
    side: int,
    images: int,
    stalls: int,
    seed: int,
) -> None:
    """Compile SOURCE, a QONNX file, into a build folder; every step checks its own result.

    QONNX is ONNX with Quant nodes, as Brevitas exports it. Minutes the first time: Verilator, g++
    and yosys build every layer; results are kept for the next time.
    """
    from fpga.steps import DOES, Build, check_tools, run_step

    build = Build(source, out, profile, cache_folder(), side, images, stalls, seed)
    check_tools(steps or _STEPS)
    for name in steps or _STEPS:
        start = time.monotonic()
        with telling(f"{name}: {DOES[name]}", _progress) as doing:
            said = run_step(name, replace(build, say=doing))
        shown = ", ".join(f"{key} {_brief(value)}" for key, value in said.items())
        click.echo(f"{name}: {shown} ({time.monotonic() - start:.0f} s)")


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _brief(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"({len(value)})" if isinstance(value, dict | list) else str(value)


@command.command("simulate", context_settings=_show)
@_plan
@_images
@_stalls
@_seed
@_json
def simulate(plan: Path, images: int, stalls: int, seed: int, json_file: Path | None) -> None:
    """Run random pictures back to back through the simulated accelerator; compare every bit."""
    from fpga.network.plan import load_plan
    from fpga.tools.measure import simulate as measured

    loaded = load_plan(plan)
    SIMULATION.check()
    with telling(_SIMULATES, _progress):
        result = measured(
            loaded, cache_folder(), pictures=None, images=images, stalls=stalls, seed=seed
        )
    click.echo(_simulated_line(result))
    write_json(json_file, result)
    _require_exact(result)


_SIMULATES = "building the simulation with Verilator and g++, then running pictures through it"


def _simulated_line(result: dict[str, Any]) -> str:
    return (
        f"{result['bit_exact_images']} of {result['images']} pictures bit-exact, with "
        f"{result['stalls']} % stalls {result['bit_exact_images_stalled']}; latency "
        f"{result['latency_cycles']:,} cycles ({result['latency_ms']:.3f} ms at 100 MHz, assumed), "
        f"one picture every {result['interval_cycles']:,} cycles"
    )


def _require_exact(result: dict[str, Any]) -> None:
    if min(result["bit_exact_images"], result["bit_exact_images_stalled"]) < result["images"]:
        raise HawkVisionError("the hardware differs from the integer network")


@command.command("size", context_settings=_show)
@_plan
@_json
def size(plan: Path, json_file: Path | None) -> None:
    """What each part of a plan takes of an xc7z020, by yosys."""
    from fpga.network.plan import load_plan
    from fpga.tools.measure import RESOURCES, layer_rows
    from fpga.tools.report import layer_table

    loaded = load_plan(plan)
    sized = _sized(loaded)
    rows = layer_rows(loaded, sized)
    screen().print(layer_table(rows, sized))
    _say_tool(sized.tool)
    total = {name: getattr(sized.total, name) for name in RESOURCES}
    write_json(json_file, {**total, "synthesis": sized.tool, "parts": rows})


def _say_tool(tool: str) -> None:
    from fpga.tools.sizing import PINNED

    click.echo(tool)
    if f"Yosys {PINNED} " not in tool:
        click.echo(f"the recorded sizes are yosys {PINNED}'s; do not compare", err=True)


def _sized(plan: Any) -> Any:
    from fpga.tools.measure import size as measured

    SYNTHESIS.check()
    with telling("synthesis of each part with yosys", _progress) as doing:
        return measured(plan, cache_folder(), lambda name: doing(f"synthesis: {name} is done"))


@command.command("report", context_settings=_show)
@click.option("--profile", type=click.Choice(tuple(PROFILES)), default="accurate")
@click.option("--plan", "plan_file", type=_file, help="Another design than the shipped one.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="CIFAR-10, with test/.")
@click.option("--split", default="test")
@_images
@_stalls
@_seed
@click.option("--figure", type=click.Path(path_type=Path), help="SVG of the layers.")
@_json
def report(
    profile: str,
    plan_file: Path | None,
    data: Path | None,
    split: str,
    images: int,
    stalls: int,
    seed: int,
    figure: Path | None,
    json_file: Path | None,
) -> None:
    """Measure a design whole: bits, cycles, size, accuracy; minutes the first time.

    Photos come from --data or from cifar10.tar.gz in $HAWKVISION_DATA; without them accuracy stays
    unmeasured and random pictures are simulated.
    """
    import numpy as np

    from fpga.network.plan import load_plan
    from fpga.tools.measure import accuracy, layer_rows, prepared
    from fpga.tools.measure import simulate as measured
    from fpga.tools.report import anchor_table, layer_table, report_body

    if figure is not None:
        from fpga.tools.roofline import roofline
    for need in (SIMULATION, SYNTHESIS):
        need.check()
    task = Repository(shipped_repository()).open("cifar10")
    plan = load_plan(plan_file or task.folder / _SHIPPED[profile])
    network = plan.network
    found = data or _photos()
    pictures, top1 = None, None
    if found is None:
        click.echo("no photos: accuracy is not measured (--data or HAWKVISION_DATA)", err=True)
    else:
        photos = open_labelled(found, split)
        with progress_bar() as bar:
            line = bar.add_task("integer network", total=len(photos))
            top1 = accuracy(network, photos, task.kind.truth, lambda n: bar.advance(line, n))
        order = np.random.default_rng(seed).permutation(len(photos))[:images]
        chosen = photos.part([photos.members[index] for index in sorted(order)])
        pictures = np.concatenate([part for part, _ in prepared(network, chosen, task.kind.truth)])
    with telling(_SIMULATES, _progress):
        result = measured(
            plan, cache_folder(), pictures=pictures, images=images, stalls=stalls, seed=seed
        )
    click.echo(_simulated_line(result))
    sized = _sized(plan)
    rows = layer_rows(plan, sized)
    body = report_body(result, sized, rows, top1)
    screen().print(layer_table(rows, sized))
    screen().print(anchor_table(body))
    _say_tool(sized.tool)
    write_json(json_file, body)
    if figure is not None:
        figure.parent.mkdir(parents=True, exist_ok=True)
        figure.write_text(roofline(rows, result["interval_cycles"], profile))
    _require_exact(result)


_SHIPPED = {"accurate": "edge.fpga.npz", "fast": "fast.fpga.npz"}
"""Beside the edge rung of the task cifar10."""


def _photos() -> Path | None:
    folder = os.environ.get("HAWKVISION_DATA")
    path = Path(folder, "cifar10.tar.gz") if folder else None
    return path if path is not None and path.exists() else None


@command.command("package", context_settings=_show)
@click.option("--task", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--bit", type=_file, required=True, help="Bitstream, of Vivado.")
@click.option("--hwh", type=_file, required=True, help="Hardware handoff, of Vivado.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Archive (.tar.gz).")
def package(task: Path | None, bit: Path, hwh: Path, out: Path) -> None:
    """Pack a task with its bitstream for a board: unpack it into a repository there."""
    from fpga.vivado.package import package_board

    folder = task or Repository(shipped_repository()).open("cifar10").folder
    for name in package_board(folder, bit, hwh, out):
        click.echo(name)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
