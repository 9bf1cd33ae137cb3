"""NVML behind a fake of its module: what its calls give, and what they raise."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from hawkvision.power.nvml import open_nvml, read_nvml


class FakeError(Exception):
    """As pynvml.NVMLError."""


class FakeNvml(ModuleType):
    """Two GPUs; of the second one nothing but its power is known. As `pynvml` 13."""

    NVMLError = FakeError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *, started: bool = True) -> None:
        super().__init__("pynvml")
        self.started = started

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.started:
            raise FakeError("Driver/library version mismatch")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:  # noqa: N802
        return self._first(gpu, 123_456)

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        return (70_500, 9_000)[gpu]

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        return self._first(gpu, 41) + sensor

    def _first(self, gpu: int, value: int) -> int:
        if gpu:
            raise FakeError("Not Supported")
        return value


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A machine with NVIDIA's driver."""
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    return tmp_path


def test_each_gpu_is_a_rail_with_what_it_supports() -> None:
    reading = read_nvml(FakeNvml())
    first, second = reading.rails
    assert (first.name, first.watts, first.joules) == ("gpu0", 70.5, 123.456)
    assert (second.name, second.watts, second.joules) == ("gpu1", 9.0, None)
    assert (reading.celsius, reading.faults) == ({"gpu0": 41.0}, ())


def test_without_a_driver_nothing_is_said(tmp_path: Path) -> None:
    assert open_nvml(tmp_path) == (None, None)


def test_a_gpu_without_the_extra_says_what_to_install(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    library, reason = open_nvml(driver)
    assert library is None
    assert reason == "NVIDIA GPU: pip install 'hawkvision[power]'"


def test_a_driver_that_does_not_answer_says_why(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(started=False))
    assert open_nvml(driver) == (None, "NVIDIA GPU: Driver/library version mismatch")


def test_one_that_answers_is_taken(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    library, reason = open_nvml(driver)
    assert (isinstance(library, FakeNvml), reason) == (True, None)
