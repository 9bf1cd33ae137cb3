"""Writes the Vivado project of a plan, and packs what a board needs into one archive."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from fpga.design.accelerator import TOP, accelerator_verilog
from fpga.network.plan import Plan
from hawkvision.errors import RepositoryError

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


def package_board(task: Path, bitfile: Path, handoff: Path, out: Path) -> list[str]:
    """One `.tar.gz` with a task's folder in which the edge rung's bitstream lies beside it.

    Returns the names in it. Raises RepositoryError where something is missing.
    """
    network = task / "edge.fpga.npz"
    for path in (task / "task.toml", network, bitfile, handoff):
        if not path.is_file():
            raise RepositoryError(f"there is no {path}")
    base = f"{task.parent.name}/{task.name}"
    placed = {f"{base}/{path.name}": path for path in sorted(task.iterdir()) if path.is_file()}
    placed |= {f"{base}/edge.bit": bitfile, f"{base}/edge.hwh": handoff}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w:gz") as archive:
        for name, path in placed.items():
            archive.add(path, arcname=name)
    return list(placed)
