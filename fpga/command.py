"""`hawkvision fpga`: an integer network to cycles and to the size of the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from fpga.engine import cache_folder
from fpga.network import Network, load_network
from hawkvision.commands.output import progress_bar, write_json
from hawkvision.errors import HawkVisionError

_network = click.argument("network", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_profile = click.option("--profile", type=click.Choice(["accurate", "fast"]), default="accurate")
_json = click.option("--json", "json_file", type=click.Path(path_type=Path))


@click.group("fpga")
def command() -> None:
    """The FPGA edge: integer networks as streaming hardware."""


@command.command("compile", context_settings={"show_default": True})
@_network
@_profile
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Verilog file.")
def compile_(network: Path, profile: str, out: Path) -> None:
    """Generate the Verilog of NETWORK, an integer network (.npz)."""
    from fpga.generate import NetworkUnit, to_verilog
    from fpga.profiles import plan_for

    plan = plan_for(load_network(network), profile)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(to_verilog(NetworkUnit(plan), "hv_network"))
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@command.command("simulate", context_settings={"show_default": True})
@_network
@_profile
@click.option("--images", type=click.IntRange(2, 10_000), default=20)
@click.option("--stalls", type=click.IntRange(0, 90), default=30, help="Percent, second run.")
@click.option("--seed", type=click.IntRange(0), default=1)
@_json
def simulate(
    network: Path, profile: str, images: int, stalls: int, seed: int, json_file: Path | None
) -> None:
    """Run random pictures back to back through Verilator and compare every bit."""
    result = simulated(load_network(network), profile, images, stalls, seed)
    click.echo(
        f"{result['bit_exact_images']} of {images} pictures bit-exact, with {stalls} % stalls "
        f"{result['bit_exact_images_stalled']}; latency {result['latency_cycles']} cycles "
        f"({result['latency_ms']:.3f} ms at 100 MHz, assumed), one every "
        f"{result['interval_cycles']} cycles"
    )
    write_json(json_file, result)
    if min(result["bit_exact_images"], result["bit_exact_images_stalled"]) < images:
        raise HawkVisionError("the hardware differs from the integer network")


def simulated(network: Network, profile: str, count: int, stalls: int, seed: int) -> dict[str, Any]:
    """Both runs; `latency_cycles` is from the first value in to a picture's last logit out."""
    from fpga.generate import NetworkUnit
    from fpga.profiles import PROFILES, milliseconds, plan_for
    from fpga.simulate import Simulation

    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, network.side, network.side, 3)).astype(np.uint8)
    expected = network(pictures)
    simulation = Simulation(NetworkUnit(plan_for(network, profile)), cache=cache_folder())
    limit = 10 * (count + 5) * PROFILES[profile].interval
    runs = [
        simulation.run(
            pictures, expected.size, limit=limit, stall_in=stall, stall_out=stall, seed=seed
        )
        for stall in (0, stalls)
    ]
    exact = [
        int((run.outputs.reshape(expected.shape) == expected).all(axis=1).sum()) for run in runs
    ]
    leaving = runs[0].given_at[network.classes - 1 :: network.classes]
    latency = int(leaving[0] - runs[0].taken_at[0])
    return {
        "profile": profile,
        "images": count,
        "bit_exact_images": exact[0],
        "bit_exact_images_stalled": exact[1],
        "latency_cycles": latency,
        "latency_ms": milliseconds(latency),
        "interval_cycles": int(np.diff(leaving).max()),
    }


@command.command("size", context_settings={"show_default": True})
@_network
@_profile
@_json
def size(network: Path, profile: str, json_file: Path | None) -> None:
    """What each layer takes of an xc7z020, by yosys."""
    from fpga.folding import cycles
    from fpga.profiles import plan_for
    from fpga.sizing import XC7Z020, Size, synthesize_plan, yosys_version

    loaded = load_network(network)
    plan = plan_for(loaded, profile)
    with progress_bar() as bar:
        line = bar.add_task("synthesis", total=None)
        sizes = synthesize_plan(plan, cache_folder() / "sizes", lambda _name: bar.advance(line))
    layers = {conv.name: (conv, side) for conv, side in loaded.convolutions()}
    table = Table("part", "MACs", "PE x SIMD", "cycles", "LUT", "FF", "DSP", "BRAM36")
    total = Size()
    rows: list[dict[str, Any]] = []
    for name, found in sizes.items():
        total += found
        row: dict[str, Any] = {"part": name, "lut": found.lut, "ff": found.ff}
        row |= {"dsp": found.dsp, "bram36": found.bram36}
        cells = ["", "", ""]
        if name in layers:
            conv, side = layers[name]
            folding = plan.folding[name]
            row |= {"macs": conv.macs(side), "cycles": cycles(conv, side, *folding)}
            row |= {"pe": folding[0], "simd": folding[1]}
            cells = [f"{row['macs']:,}", f"{folding[0]} x {folding[1]}", f"{row['cycles']:,}"]
        rows.append(row)
        resources = (f"{found.lut:,}", f"{found.ff:,}", str(found.dsp), f"{found.bram36:g}")
        table.add_row(name, *cells, *resources)
    shares = {
        key: getattr(total, key) / getattr(XC7Z020, key) for key in ("lut", "ff", "dsp", "bram36")
    }
    table.add_section()
    table.add_row(
        "all", "", "", "", f"{total.lut:,}", f"{total.ff:,}", str(total.dsp), f"{total.bram36:g}"
    )
    table.add_row("of an xc7z020", "", "", "", *(f"{share:.0%}" for share in shares.values()))
    Console().print(table, yosys_version())
    body: dict[str, Any] = {"profile": profile, "yosys": yosys_version()}
    body |= {"parts": rows, "shares": shares}
    body |= {"lut": total.lut, "ff": total.ff, "dsp": total.dsp, "bram36": total.bram36}
    write_json(json_file, body)
