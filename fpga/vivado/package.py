"""Packs a task and its bitstream into one archive for a board."""

from __future__ import annotations

import tarfile
from pathlib import Path

from hawkvision.errors import RepositoryError


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
