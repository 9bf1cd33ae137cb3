"""The compiler: named steps from a quantized model to what a board needs, each runnable alone.

A step reads what earlier ones left in the build folder and writes its own; it checks its result and
raises EngineError or RepositoryError. `steps.json` keeps what each said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpga.design.accelerator import TOP, accelerator_verilog
from fpga.design.blocks.framer import words_of_picture
from fpga.network.files import load_network, save_network
from fpga.network.network import Network
from fpga.network.plan import Plan, load_plan, save_plan
from fpga.network.profiles import first_plan
from fpga.network.qonnx import import_qonnx
from fpga.network.reference import run_qonnx
from fpga.network.streamline import streamline
from fpga.tools.fifos import pictures_for, size_fifos
from fpga.tools.measure import RESOURCES, simulate, size
from fpga.tools.needs import SIMULATION, SYNTHESIS
from fpga.tools.sizing import XC7Z020
from fpga.vivado.project import write_project
from hawkvision.errors import EngineError

Said = dict[str, Any]
LEAST_AGREEMENT = 0.95
"""Of random pictures, on which integers answer as the floats do; photos agree far more often."""
LEFT_FREE = 0.15
"""Of each resource, for what is around the network and for the router."""


@dataclass(frozen=True)
class Build:
    """One compilation. `side` of the pictures; `images` that are simulated.

    `say` is told what a long step is at.
    """

    source: Path
    folder: Path
    profile: str
    cache: Path
    side: int = 32
    images: int = 100
    stalls: int = 30
    seed: int = 1
    say: Callable[[str], None] = lambda _what: None

    @property
    def network_file(self) -> Path:
        """The integer network."""
        return self.folder / "network.npz"

    @property
    def plan_file(self) -> Path:
        """The integer network with its plan."""
        return self.folder / "plan.npz"

    @property
    def verilog_file(self) -> Path:
        """The accelerator."""
        return self.folder / f"{TOP}.v"

    def plan(self) -> Plan:
        """What the steps so far have planned."""
        if not self.plan_file.exists():
            raise EngineError("no plan yet", hint="Run the step fold first.")
        return load_plan(self.plan_file)

    def network(self) -> Network:
        """What the steps so far have made of the model."""
        if not self.network_file.exists():
            raise EngineError("no integer network yet", hint="Run the step streamline first.")
        return load_network(self.network_file)


def import_step(build: Build) -> Said:
    """Read the QONNX file and check that every node has its place."""
    model = import_qonnx(build.source)
    layers = list(model.convolutions())
    return {"convolutions": len(layers), "blocks": len(model.blocks), "side": build.side}


def streamline_step(build: Build) -> Said:
    """Fold scales and batch norm into integers; compare with the floats on random pictures."""
    network = streamline(import_qonnx(build.source), build.source.stem, build.side)
    pictures = pictures_for(network, build.images, build.seed)
    wanted = run_qonnx(build.source, pictures)
    found = network(pictures) * network.head.scale
    agreement = float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean())
    if agreement < LEAST_AGREEMENT:
        raise EngineError(f"integers and floats agree on only {agreement:.1%} of random pictures")
    save_network(network, build.network_file)
    off = float(np.abs(found - wanted).max())
    return {"agreement": agreement, "largest_difference": off, "digest": f"{network.digest:08x}"}


def fold_step(build: Build) -> Said:
    """Choose PE and SIMD of each layer for the profile's interval, and what shares DSP blocks."""
    network = build.network()
    words_of_picture(network.side)  # no use to plan what no bus can feed
    plan = first_plan(network, build.profile)
    save_plan(plan, build.plan_file)
    macs = sum(pe * simd for name, (pe, simd) in plan.folding.items() if name != "head")
    folding = {name: list(pair) for name, pair in plan.folding.items()}
    return {"macs_per_cycle": macs, "folding": folding, "packed": dict(plan.packed)}


def fifos_step(build: Build) -> Said:
    """Give every FIFO the depth that simulations show it needs."""
    found = size_fifos(build.plan(), build.cache, seed=build.seed)
    save_plan(found.plan, build.plan_file)
    peaks = {name: list(marks) for name, marks in found.peaks.items()}
    depths = [found.plan.skip_depths[index] for index in sorted(found.plan.skip_depths)]
    return {"depths": depths, "high_water_marks": peaks, "interval_cycles": found.interval_after}


def generate_step(build: Build) -> Said:
    """Write the accelerator as Verilog."""
    text = accelerator_verilog(build.plan())
    build.verilog_file.write_text(text)
    return {"file": build.verilog_file.name, "lines": text.count("\n")}


def simulate_step(build: Build) -> Said:
    """Compare every bit with the integer network, with and without stalls."""
    said = simulate(
        build.plan(),
        build.cache,
        pictures=None,
        images=build.images,
        stalls=build.stalls,
        seed=build.seed,
    )
    if min(said["bit_exact_images"], said["bit_exact_images_stalled"]) < build.images:
        raise EngineError("the hardware differs from the integer network", hint=json.dumps(said))
    return said


def size_step(build: Build) -> Said:
    """Synthesize every part; refuse what leaves too little of the chip."""
    sized = size(build.plan(), build.cache, lambda name: build.say(f"size: {name} is done"))
    for name, share in sized.shares.items():
        if share > 1 - LEFT_FREE:
            raise EngineError(
                f"{share:.0%} of {name} of an xc7z020, more than {1 - LEFT_FREE:.0%}",
                hint="Take a slower profile or a smaller network.",
            )
    total = {name: getattr(sized.total, name) for name in RESOURCES}
    chip = {name: getattr(XC7Z020, name) for name in RESOURCES}
    return {**total, "chip": chip, "tool": sized.tool}


def package_step(build: Build) -> Said:
    """Write the Vivado project around the Verilog."""
    files = write_project(build.plan(), build.folder)
    return {"files": [str(path.relative_to(build.folder)) for path in files]}


DOES = {
    "import": "reading the QONNX file",
    "streamline": "folding scales into integers, and comparing with the floats",
    "fold": "choosing how parallel each layer is",
    "fifos": "building two simulations with Verilator and g++, to see how full the FIFOs get",
    "generate": "writing Verilog",
    "simulate": "building the simulation of the accelerator with Verilator and g++, and running it",
    "size": "synthesis of each part with yosys",
    "package": "writing the Vivado project",
}
"""What each step is at, for people who wait."""

STEPS: dict[str, Callable[[Build], Said]] = {
    "import": import_step,
    "streamline": streamline_step,
    "fold": fold_step,
    "fifos": fifos_step,
    "generate": generate_step,
    "simulate": simulate_step,
    "size": size_step,
    "package": package_step,
}


_NEEDS = {"fifos": SIMULATION, "simulate": SIMULATION, "size": SYNTHESIS}


def check_tools(names: Iterable[str]) -> None:
    """Raise EngineError where a program is missing that one of these steps runs."""
    for name in names:
        if name in _NEEDS:
            _NEEDS[name].check()


def run_step(name: str, build: Build) -> Said:
    """Run one step and note what it said."""
    build.folder.mkdir(parents=True, exist_ok=True)
    said = STEPS[name](build)
    log = build.folder / "steps.json"
    noted = json.loads(log.read_text()) if log.exists() else {}
    noted[name] = said
    log.write_text(json.dumps(noted, indent=2) + "\n")
    return said
