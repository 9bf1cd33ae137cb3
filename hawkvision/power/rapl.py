"""Running Average Power Limit: energy counters of Intel's and AMD's CPUs in Linux's powercap tree.

Source: kernel.org, `Documentation/power/powercap/powercap.rst` and
`Documentation/ABI/testing/sysfs-class-powercap`.
"""

from __future__ import annotations

import re
from pathlib import Path

from hawkvision.power.reading import Rail, Reading, number_of, text_of

_ZONE = re.compile(r"intel-rapl:(\d+)(?::(\d+))?")
"""`intel-rapl-mmio:0` counts the same package once more."""


def read_rapl(sysfs: Path) -> Reading:
    """The zones under `sysfs`/class/powercap, joules.

    Packages, and their memory, which lies outside of them, are counted; cores and graphics are
    parts of a package, and `psys` is the platform around it. Since Linux 5.10 only root may read
    the counters; the fault says so.
    """
    rails, faults = [], []
    for zone in sorted((sysfs / "class" / "powercap").glob("intel-rapl:*")):
        found = _ZONE.fullmatch(zone.name)
        name = text_of(zone / "name")
        if found is None or name is None:
            continue
        try:
            joules = int((zone / "energy_uj").read_text("ascii")) / 1e6
        except PermissionError:
            faults.append(
                f"RAPL: {zone / 'energy_uj'} may be read by root only; run as root, or let this "
                "user read it (chmod, or a rule of udev)"
            )
            continue
        except (OSError, ValueError):
            continue
        most = number_of(zone / "max_energy_range_uj")
        part = found[2] is not None
        parent = text_of(zone.parent / f"intel-rapl:{found[1]}" / "name") if part else None
        rails.append(
            Rail(
                "rapl",
                name if parent is None else f"{parent} {name}",
                joules=joules,
                wraps_at_j=None if most is None else most / 1e6,
                counted=name == "dram" if part else name.startswith("package"),
            )
        )
    return Reading(tuple(rails), faults=tuple(faults[:1]))
