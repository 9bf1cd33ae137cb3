"""What sensors say at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rail:
    """A supply that is measured: by its power now, by a counter of its energy, or by both.

    `source` is `rapl`, `nvml` or `board`. `joules` counts from some start, and begins again at
    `wraps_at_j` (None: never). `counted` rails add up to what is measured of the machine; the
    others are parts of one that is counted, or overlap it.
    """

    source: str
    name: str
    watts: float | None = None
    joules: float | None = None
    wraps_at_j: float | None = None
    counted: bool = True

    @property
    def full_name(self) -> str:
        """For people: `rapl package-0`."""
        return f"{self.source} {self.name}"


@dataclass(frozen=True, slots=True)
class Reading:
    """Rails, temperatures in °C by sensor, and why what is there could not be read."""

    rails: tuple[Rail, ...] = ()
    celsius: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def together(readings: Iterable[Reading]) -> Reading:
    """All of a moment's readings in one, without counting anything twice.

    Sensors of the board stand before its input, and so for CPU and GPU too: where there are any,
    only they are counted.
    """
    found = list(readings)
    rails = [rail for reading in found for rail in reading.rails]
    if any(rail.counted and rail.source == "board" for rail in rails):
        rails = [rail if rail.source == "board" else replace(rail, counted=False) for rail in rails]
    return Reading(
        tuple(rails),
        {name: value for reading in found for name, value in reading.celsius.items()},
        tuple(fault for reading in found for fault in reading.faults),
    )


def text_of(path: Path) -> str | None:
    """A file of sysfs; None where there is none, or its sensor does not answer now."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None


def number_of(path: Path) -> float | None:
    """As `text_of`, a number."""
    text = text_of(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, or `name 2` and so on where it is taken."""
    known, count, found = set(taken), 1, name
    while found in known:
        count += 1
        found = f"{name} {count}"
    return found
