"""NVIDIA's GPUs through NVML (`nvidia-ml-py`, the extra `power`), all that this machine has.

Source: docs.nvidia.com, "NVML API Reference": energy in mJ since the driver was loaded (Volta and
later), power in mW.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hawkvision.power.reading import Rail, Reading

_DRIVER = ("proc/driver/nvidia", "dev/nvidiactl")


def open_nvml(root: Path = Path("/")) -> tuple[Any | None, str | None]:
    """The started library, or why not; neither where this machine has no driver of NVIDIA's."""
    if not any((root / path).exists() for path in _DRIVER):
        return None, None
    try:
        import pynvml
    except ImportError:
        return None, "NVIDIA GPU: pip install 'hawkvision[power]'"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"NVIDIA GPU: {error}"
    return pynvml, None


def read_nvml(nvml: Any) -> Reading:
    """Each GPU's power, energy and temperature; what a GPU does not support is left out."""
    rails, celsius, faults = [], {}, []

    def ask(question: Callable[..., Any], *arguments: Any) -> Any | None:
        try:
            return question(*arguments)
        except nvml.NVMLError as error:
            faults.append(f"NVIDIA GPU: {error}")
            return None

    for index in range(ask(nvml.nvmlDeviceGetCount) or 0):
        gpu = ask(nvml.nvmlDeviceGetHandleByIndex, index)
        if gpu is None:
            continue
        millijoules = ask(nvml.nvmlDeviceGetTotalEnergyConsumption, gpu)
        milliwatts = ask(nvml.nvmlDeviceGetPowerUsage, gpu)
        degrees = ask(nvml.nvmlDeviceGetTemperature, gpu, nvml.NVML_TEMPERATURE_GPU)
        if millijoules is not None or milliwatts is not None:
            rails.append(
                Rail(
                    "nvml",
                    f"gpu{index}",
                    None if milliwatts is None else milliwatts / 1e3,
                    None if millijoules is None else millijoules / 1e3,
                )
            )
        if degrees is not None:
            celsius[f"gpu{index}"] = float(degrees)
    return Reading(tuple(rails), celsius, () if rails else tuple(faults[:1]))
