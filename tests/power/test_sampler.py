"""The sensors of a machine, found and sampled; and what is said where there are none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hawkvision.power import (
    Energy,
    EnergyProbe,
    NotMeasured,
    PowerSampler,
    Rail,
    Reading,
    per_image,
)
from hawkvision.power.sampler import NO_SENSOR, Source, find_sources
from tests.power import trees


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "power"]


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_machine_without_sensors_says_so_and_runs_no_thread(tmp_path: Path) -> None:
    sampler = PowerSampler.of_machine(tmp_path)
    sampler.start()
    assert threads() == []
    assert sampler.sample().total == NotMeasured(NO_SENSOR)
    sampler.close()


def test_only_what_is_there_is_read_again(tmp_path: Path) -> None:
    sources, faults = find_sources(trees.orin_nano(tmp_path))
    assert (len(sources), faults) == (2, [])  # the board's rails, and temperatures


def test_why_a_gpu_is_not_measured_stands_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    total = PowerSampler(*find_sources(tmp_path)).sample().total
    assert isinstance(total, NotMeasured)
    assert total.reason.startswith("NVIDIA GPU: ")


def test_temperatures_without_power_are_sampled_all_the_same(tmp_path: Path) -> None:
    zone = "class/thermal/thermal_zone0"
    trees.write(tmp_path, {f"{zone}/type": "soc", f"{zone}/temp": 50_000})
    state = PowerSampler.of_machine(tmp_path).sample()
    assert (state.celsius, state.total) == ({"soc": 50.0}, NotMeasured(NO_SENSOR))


def test_energy_runs_on_from_sample_to_sample(tmp_path: Path) -> None:
    clock = Clock()
    sampler = PowerSampler(*find_sources(trees.rapl(tmp_path)), clock=clock)
    sampler.sample()
    clock.now = 2.0
    trees.rapl(tmp_path, package_uj=21_000_000, dram_uj=4_500_000)
    state = sampler.sample()
    assert state.total == Energy(24.0, 2.0, 0.0, ("rapl package-0", "rapl package-0 dram"))
    assert state.joules == {"rapl": 24.0}
    assert state.watts == {"rapl": 12.0}


def test_a_thread_samples_until_it_is_closed() -> None:
    enough = threading.Event()
    readings: list[Reading] = []

    def source() -> Reading:
        readings.append(Reading((Rail("board", "VDD_IN", 5.0),)))
        if len(readings) > 3:
            enough.set()
        return readings[-1]

    sampler = PowerSampler([source], every_s=0.001)
    sampler.start()
    assert enough.wait(60)
    sampler.close()
    assert threads() == []


def steady(watts: float) -> Source:
    return lambda: Reading((Rail("board", "VDD_IN", watts),))


def test_a_probe_adds_the_parts_that_it_watched() -> None:
    clock = Clock()
    probe = EnergyProbe(PowerSampler([steady(5.0)], every_s=3600.0, clock=clock))
    for _ in range(2):
        clock.now += 100.0  # beside the probe
        with probe:
            clock.now += 4.0
    probe.close()
    found = per_image(probe.found, 10, 8)
    assert (found["joules"], found["seconds"]) == (40.0, 8.0)
    assert found["joules_per_right_answer"] == 5.0
    assert found["rails"] == ["board VDD_IN"]


@pytest.mark.parametrize("runs", [0, 1])
def test_a_probe_without_sensors_says_why_not(tmp_path: Path, runs: int) -> None:
    probe = EnergyProbe(PowerSampler.of_machine(tmp_path))
    for _ in range(runs):
        with probe:
            pass
    reason = NO_SENSOR if runs else "nothing ran"
    assert per_image(probe.found, 5) == {"measured": False, "reason": reason}
