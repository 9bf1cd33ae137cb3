"""Trees of /sys in the shape that Linux's drivers give them, with a machine's values."""

from __future__ import annotations

from pathlib import Path

PACKAGE_RANGE_UJ = 262143328850


def write(root: Path, files: dict[str, object]) -> Path:
    """Files under `root`/sys, each with a newline, as the kernel writes them; `root` itself."""
    for name, value in files.items():
        path = root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


def rapl(root: Path, package_uj: int = 1_000_000, dram_uj: int = 500_000) -> Path:
    """A desktop's package with core and dram, its psys, and the package once more by MMIO."""
    zone = "class/powercap/intel-rapl:0"
    files: dict[str, object] = {
        "class/powercap/intel-rapl/enabled": 1,
        f"{zone}/name": "package-0",
        f"{zone}/energy_uj": package_uj,
        f"{zone}/max_energy_range_uj": PACKAGE_RANGE_UJ,
        f"{zone}/constraint_0_name": "long_term",
        f"{zone}:0/name": "core",
        f"{zone}:0/energy_uj": 400_000,
        f"{zone}:0/max_energy_range_uj": PACKAGE_RANGE_UJ,
        f"{zone}:2/name": "dram",
        f"{zone}:2/energy_uj": dram_uj,
        f"{zone}:2/max_energy_range_uj": 65712999613,
        "class/powercap/intel-rapl:1/name": "psys",
        "class/powercap/intel-rapl:1/energy_uj": 9_000_000,
        "class/powercap/intel-rapl:1/max_energy_range_uj": PACKAGE_RANGE_UJ,
        "class/powercap/intel-rapl-mmio:0/name": "package-0",
        "class/powercap/intel-rapl-mmio:0/energy_uj": package_uj,
        "class/powercap/intel-rapl-mmio:0/max_energy_range_uj": PACKAGE_RANGE_UJ,
    }
    return write(root, files)


def ina3221(root: Path, number: int, *channels: tuple[str, int, int] | None) -> Path:
    """One chip: (label, mV, mA) of each channel, None for one that is switched off."""
    chip = f"class/hwmon/hwmon{number}"
    files: dict[str, object] = {
        f"{chip}/name": "ina3221",
        f"{chip}/in7_label": "sum of shunt voltages",
        f"{chip}/in7_input": 1,
        f"{chip}/curr4_input": 9999,
    }
    for index, channel in enumerate(channels, 1):
        label, millivolts, milliamperes = channel or ("VDD_OFF", 5000, 1000)
        files |= {
            f"{chip}/in{index}_label": label,
            f"{chip}/in{index}_enable": int(channel is not None),
            f"{chip}/in{index}_input": millivolts,
            f"{chip}/curr{index}_input": milliamperes,
            f"{chip}/in{index + 3}_input": 4_000,
        }
    return write(root, files)


def orin_nano(root: Path) -> Path:
    """A Jetson Orin Nano: the module's input holds the two other rails."""
    ina3221(root, 1, ("VDD_IN", 5000, 1200), ("VDD_CPU_GPU_CV", 5000, 400), ("VDD_SOC", 5000, 300))
    zones = {"cpu-thermal": 48_250, "gpu-thermal": 46_500}
    for index, (name, value) in enumerate(zones.items()):
        zone = f"class/thermal/thermal_zone{index}"
        write(root, {f"{zone}/type": name, f"{zone}/temp": value})
    return root


def agx_orin(root: Path) -> Path:
    """A Jetson AGX Orin: two chips, no rail for all, one rail fed through another."""
    ina3221(
        root, 1, ("VDD_GPU_SOC", 20000, 200), ("VDD_CPU_CV", 20000, 100), ("VIN_SYS_5V0", 5000, 800)
    )
    return ina3221(root, 2, ("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 100), ("NC", 0, 0))


def zcu104(root: Path) -> Path:
    """PMBus of a ZCU104 under PYNQ: a controller with its input, and one without any power."""
    controller, regulator = "class/hwmon/hwmon0", "class/hwmon/hwmon1"
    return write(
        root,
        {
            f"{controller}/name": "irps5401",
            f"{controller}/power1_label": "pin",
            f"{controller}/power1_input": 7_500_000,
            f"{controller}/power2_label": "pout1",
            f"{controller}/power2_input": 2_000_000,
            f"{controller}/temp1_input": 41_000,
            f"{regulator}/name": "isl68127",
            f"{regulator}/in1_label": "vin",
            f"{regulator}/in1_input": 12_000,
            f"{regulator}/in2_label": "vout1",
            f"{regulator}/in2_input": 850,
            f"{regulator}/curr1_label": "iout1",
            f"{regulator}/curr1_input": 4_000,
        },
    )
