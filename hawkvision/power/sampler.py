"""The sensors of this machine, read once a second on a thread of their own.

Nothing runs where there is no sensor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hawkvision.power.board import read_board
from hawkvision.power.energy import Energy, NotMeasured
from hawkvision.power.meter import PowerMeter
from hawkvision.power.nvml import open_nvml, read_nvml
from hawkvision.power.rapl import read_rapl
from hawkvision.power.reading import Rail, Reading, together
from hawkvision.power.thermal import read_thermal

EVERY_S = 1.0
NO_SENSOR = "no power sensor here (RAPL, NVML, a board's own)"

Source = Callable[[], Reading]


@dataclass(frozen=True, slots=True)
class PowerState:
    """Of the last sample: rails with watts, joules by source since the start, °C by sensor.

    `total` says why not where no energy is measured.
    """

    total: Energy | NotMeasured = field(default_factory=lambda: NotMeasured(NO_SENSOR))
    rails: tuple[Rail, ...] = ()
    joules: Mapping[str, float] = field(default_factory=dict)
    celsius: Mapping[str, float] = field(default_factory=dict)

    @property
    def watts(self) -> dict[str, float]:
        """Of the counted rails, by source."""
        found: dict[str, float] = {}
        for rail in self.rails:
            if rail.counted and rail.watts is not None:
                found[rail.source] = found.get(rail.source, 0.0) + rail.watts
        return found


def find_sources(root: Path = Path("/")) -> tuple[list[Source], list[str]]:
    """Readers for the sensors that this machine has, and why others cannot be read."""
    nvml, reason = open_nvml(root)
    candidates: list[Source] = [
        partial(read, root / "sys") for read in (read_board, read_rapl, read_thermal)
    ]
    if nvml is not None:
        candidates.append(partial(read_nvml, nvml))
    sources, faults = [], [reason] if reason is not None else []
    for source in candidates:
        found = source()
        faults += found.faults
        if found.rails or found.celsius:
            sources.append(source)
    return sources, faults


class PowerSampler:
    """Reads sources into a meter; `state` is what it knows. Usable from several threads."""

    def __init__(
        self,
        sources: Sequence[Source],
        faults: Sequence[str] = (),
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = tuple(sources)
        self._faults = tuple(faults)
        self._every_s = every_s
        self._clock = clock
        self._meter = PowerMeter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = PowerState(self._total(self._faults))

    @classmethod
    def of_machine(cls, root: Path = Path("/")) -> PowerSampler:
        """With the sensors that this machine has."""
        return cls(*find_sources(root))

    def start(self) -> None:
        """Sample from now on; without a sensor there is no thread."""
        if self._sources and self._thread is None:
            self.sample()
            self._thread = threading.Thread(target=self._run, name="power", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.sample()

    def sample(self) -> PowerState:
        """Read all sensors now; milliseconds at most, but for sensors on slow buses."""
        if not self._sources:
            return self._state
        with self._lock:
            reading = together(source() for source in self._sources)
            self._meter.add(self._clock(), reading)
            watts = self._meter.watts
            rails = tuple(
                Rail(one.source, one.name, watts.get((one.source, one.name)), counted=one.counted)
                for one in reading.rails
            )
            faults = (*self._faults, *reading.faults)
            self._state = PowerState(
                self._total(faults), rails, self._meter.joules, dict(reading.celsius)
            )
            return self._state

    def _total(self, faults: Sequence[str]) -> Energy | NotMeasured:
        total = self._meter.total
        if total.rails:
            return total
        return NotMeasured("; ".join(dict.fromkeys(faults)) or NO_SENSOR)

    @property
    def state(self) -> PowerState:
        """As of the last sample."""
        return self._state

    def close(self) -> None:
        """Sample no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=self._every_s)
            self._thread = None
