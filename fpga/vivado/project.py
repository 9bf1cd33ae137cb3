"""Writes the Vivado project of a plan."""

from __future__ import annotations

import shutil
from pathlib import Path

from fpga.design.accelerator import TOP, accelerator_verilog
from fpga.network.plan import Plan

_HERE = Path(__file__).parent
SCRIPTS = ("build.tcl", f"{TOP}.xdc")


def write_project(plan: Plan, folder: Path) -> list[Path]:
    """`hv_accel.v`, its constraints and the build script in `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    verilog = folder / f"{TOP}.v"
    verilog.write_text(accelerator_verilog(plan))
    for name in SCRIPTS:
        shutil.copyfile(_HERE / name, folder / name)
    return [verilog, *(folder / name for name in SCRIPTS)]
