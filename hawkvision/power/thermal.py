"""Temperatures: Linux's thermal zones, a CPU's own sensors, and the XADC of a Zynq.

Source: kernel.org, `Documentation/driver-api/thermal/sysfs-api.rst`,
`Documentation/hwmon/sysfs-interface.rst`, `Documentation/ABI/testing/sysfs-bus-iio`; all in
thousandths of a degree.
"""

from __future__ import annotations

from pathlib import Path

from hawkvision.power.reading import Reading, number_of, text_of, unique

MOST = 32
"""So many sensors are read at most."""

_CPUS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


def read_thermal(sysfs: Path) -> Reading:
    """Degrees Celsius by sensor; those that do not answer now are left out."""
    found: dict[str, float] = {}

    def add(name: str, thousandths: float | None) -> None:
        if thousandths is not None and len(found) < MOST:
            found[unique(name, found)] = thousandths / 1000

    for zone in sorted((sysfs / "class" / "thermal").glob("thermal_zone*")):
        add(text_of(zone / "type") or zone.name, number_of(zone / "temp"))
    for chip in sorted((sysfs / "class" / "hwmon").glob("hwmon*")):
        name = text_of(chip / "name")
        if name in _CPUS:
            for path in sorted(chip.glob("temp*_input")):
                stem = path.name.removesuffix("_input")
                add(f"{name} {text_of(chip / f'{stem}_label') or stem}", number_of(path))
    for device in sorted((sysfs / "bus" / "iio" / "devices").glob("iio:device*")):
        raw, offset, scale = (
            number_of(device / f"in_temp0_{what}") for what in ("raw", "offset", "scale")
        )
        if raw is not None and scale is not None:
            add(text_of(device / "name") or device.name, (raw + (offset or 0.0)) * scale)
    return Reading(celsius=found)
