"""How much memory this process may use, in bytes: the machine's, or less where a limit is set.

Sources: the kernel's documentation, cgroup-v2.rst (memory.max, memory.high), cgroup-v1/memory.rst
(memory.limit_in_bytes); limits of every group above count too.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_FILES = ("memory.max", "memory.high", "memory.limit_in_bytes")


def usable_bytes(root: Path = Path("/")) -> int:
    """The least of physical memory and the limits of this process's cgroups.

    `root` is where `proc` and `sys` lie. What cannot be read limits nothing.
    """
    found = [physical_bytes(), *cgroup_limits(root)]
    return min(size for size in found if size > 0)


def physical_bytes() -> int:
    """The machine's memory; 4 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 4 << 30


def cgroup_limits(root: Path) -> list[int]:
    """Every limit on this process's groups, of both versions; in no order."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return []
    folders: set[Path] = set()
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        mounts = ["", "unified"] if number == "0" else []
        if "memory" in controllers.split(","):
            mounts = ["memory"]
        # Inside a container the group's own path may not exist; its root then is the mount itself.
        parts = PurePosixPath(path.lstrip("/"))
        for mount in mounts:
            folders.update(root / "sys/fs/cgroup" / mount / up for up in (parts, *parts.parents))
    return [size for folder in folders for name in _FILES if (size := _read(folder / name))]


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return 0
