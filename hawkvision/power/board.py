"""Sensors on a board's supplies, as Linux's hwmon shows them: INA3221 (Jetson), INA2xx, PMBus.

Source: kernel.org, `Documentation/hwmon/sysfs-interface.rst` (mV, mA, µW), `ina3221.rst`,
`pmbus-core.rst`; which rails of a Jetson hold others: Jetson Linux Developer Guide, "Platform Power
and Performance". Rails are those that `pynq.pmbus.get_rails` finds, with the drivers' own labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hawkvision.power.reading import Rail, Reading, number_of, text_of, unique

_INPUTS = ("VDD_IN", "POM_5V_IN")
"""Rails of a Jetson's module through which all others are fed."""

_PARTS = ("VDDQ_VDD2_1V8AO",)
"""Fed through another rail that is measured (VIN_SYS_5V0 of AGX Orin)."""

_TOTAL = re.compile(r"pin\d*|power total", re.IGNORECASE)
"""Labels of a converter's input, and of a power supply's sum."""

_NOT_OF_THE_BOARD = ("amdgpu", "nouveau", "i915", "xe", "radeon", "power_meter")
"""Chips of hwmon that measure a graphics card, or (ACPI's) whatever their firmware says."""


def read_board(sysfs: Path) -> Reading:
    """The rails under `sysfs`/class/hwmon, watts; batteries and graphics cards are left out."""
    rails: list[Rail] = []
    for chip in sorted((sysfs / "class" / "hwmon").glob("hwmon*"), key=_number):
        name = text_of(chip / "name") or text_of(chip / "device" / "name")
        if name is None or name in _NOT_OF_THE_BOARD or _is_battery(sysfs, name):
            continue
        found = list(_ina3221(chip) if name == "ina3221" else _powers(chip))
        whole = [label for label, _ in found if label in _INPUTS or _TOTAL.fullmatch(label)]
        for label, watts in found:
            named = label if name == "ina3221" else f"{name} {label}"
            rails.append(
                Rail(
                    "board",
                    unique(named, (rail.name for rail in rails)),
                    watts,
                    counted=label in whole if whole else label not in _PARTS,
                )
            )
    return Reading(tuple(_under_inputs(rails)))


def _number(chip: Path) -> int:
    found = re.search(r"\d+$", chip.name)
    return int(found[0]) if found else 0


def _is_battery(sysfs: Path, name: str) -> bool:
    """Whether a chip is the hwmon face of something under class/power_supply."""
    supplies = (sysfs / "class" / "power_supply").glob("*")
    return name in {supply.name.replace("-", "_") for supply in supplies}


def _ina3221(chip: Path) -> Iterator[tuple[str, float]]:
    """Label and watts of the channels that are connected and on."""
    for channel in (1, 2, 3):
        label = text_of(chip / f"in{channel}_label") or f"channel {channel}"
        if label == "NC" or text_of(chip / f"in{channel}_enable") == "0":
            continue
        millivolts = number_of(chip / f"in{channel}_input")
        milliamperes = number_of(chip / f"curr{channel}_input")
        if millivolts is not None and milliamperes is not None:
            yield label, millivolts * milliamperes / 1e6


def _powers(chip: Path) -> Iterator[tuple[str, float]]:
    """Label and watts of a chip that measures power, or voltage and current of the same output."""
    inputs = sorted(chip.glob("power*_input"), key=lambda path: path.name)
    for path in inputs:
        microwatts = number_of(path)
        if microwatts is not None:
            stem = path.name.removesuffix("_input")
            yield text_of(chip / f"{stem}_label") or stem, microwatts / 1e6
    if inputs:
        return
    millivolts = _labelled(chip, "in", "v")
    milliamperes = _labelled(chip, "curr", "i")
    for label in sorted(millivolts.keys() & milliamperes.keys()):
        yield f"p{label}", millivolts[label] * milliamperes[label] / 1e6


def _labelled(chip: Path, kind: str, letter: str) -> dict[str, float]:
    """Values by label without its first letter: `out1` for `vout1` and for `iout1`."""
    found = {}
    for path in chip.glob(f"{kind}*_input"):
        label = text_of(chip / f"{path.name.removesuffix('_input')}_label") or ""
        value = number_of(path)
        if label.startswith(letter) and value is not None:
            found[label[1:]] = value
    return found


def _under_inputs(rails: list[Rail]) -> list[Rail]:
    """Where a Jetson's whole input is measured, on whichever chip, nothing else is counted."""
    if not any(rail.name in _INPUTS for rail in rails):
        return rails
    return [
        Rail(rail.source, rail.name, rail.watts, counted=rail.name in _INPUTS) for rail in rails
    ]
