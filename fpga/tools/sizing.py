"""What a component takes of the chip, by yosys' synthesis for the 7 series, each layer on its own.

yosys counts are not Vivado's, and it gives no clock frequency: nothing is placed or routed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.lib import wiring

from fpga.design.generate import to_verilog, units
from fpga.network.plan import Plan
from fpga.tools.needs import SYNTHESIS
from hawkvision.errors import EngineError

_TOP = "hv_part"


@dataclass(frozen=True)
class Size:
    """Look-up tables, flip-flops, DSP48E1 and block RAM of 36 kbit."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram36: float = 0.0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram36 + other.bram36,
        )


XC7Z020 = Size(53_200, 106_400, 220, 140)


PINNED = "0.23"
"""The version of yosys whose counts are recorded; others count differently, by up to a quarter."""


def yosys_version() -> str:
    """As yosys says it."""
    done = subprocess.run(["yosys", "-V"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def synthesize(unit: wiring.Component, cache: Path) -> Size:
    """The size of a component; results are kept by the hash of the source and of the tool.

    Raises EngineError.
    """
    SYNTHESIS.check()
    source = to_verilog(unit, _TOP)
    key = hashlib.sha256(f"{yosys_version()}{source}".encode()).hexdigest()[:24]
    kept = cache / f"{key}.json"
    if kept.exists():
        return Size(**json.loads(kept.read_text()))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "part.v").write_text(source)
        script = f"read_verilog part.v; synth_xilinx -family xc7 -top {_TOP}; flatten; stat"
        done = subprocess.run(
            ["yosys", "-p", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EngineError(f"yosys: {(done.stderr or done.stdout)[-600:]}")
    size = parse_statistics(done.stdout)
    cache.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")  # whole, or not there
    partial.write_text(json.dumps(asdict(size)))
    partial.replace(kept)
    return size


def synthesize_plan(
    plan: Plan, cache: Path, done: Callable[[str], None] = lambda _name: None
) -> dict[str, Size]:
    """Every part on its own, as many at a time as there are processors. Raises EngineError."""

    def one(name: str, make: Callable[[], wiring.Component]) -> Size:
        size = synthesize(make(), cache)
        done(name)
        return size

    found = units(plan)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(found, pool.map(one, found.keys(), found.values()), strict=True))


def parse_statistics(text: str) -> Size:
    """Count cells in the last table that yosys' `stat` printed."""
    cells: dict[str, int] = {}
    last = text.rfind("Number of cells")
    for name, count in re.findall(r"^\s+([A-Z][A-Z0-9_]*)\s+(\d+)\s*$", text[last:], re.MULTILINE):
        cells[name] = cells.get(name, 0) + int(count)
    if not cells:
        raise EngineError("yosys printed no statistics")
    luts = sum(count for name, count in cells.items() if re.fullmatch(r"LUT[1-6]", name))
    memory = {
        "RAM32M": 4,
        "RAM64M": 4,
        "RAM32X1D": 2,
        "RAM64X1D": 2,
        "RAM128X1D": 4,
        "SRL16E": 1,
        "SRLC32E": 1,
    }
    luts += sum(cells.get(name, 0) * cost for name, cost in memory.items())
    flops = sum(count for name, count in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?", name))
    ram = cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2
    return Size(luts, flops, cells.get("DSP48E1", 0), ram)
