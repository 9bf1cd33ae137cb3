"""What the sensors of real machines say, read from trees of their shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from hawkvision.power.board import read_board
from hawkvision.power.rapl import read_rapl
from hawkvision.power.reading import Rail, Reading, together
from hawkvision.power.thermal import MOST, read_thermal
from tests.power import trees


def by_name(reading: Reading) -> dict[str, Rail]:
    return {rail.name: rail for rail in reading.rails}


def counted_watts(reading: Reading) -> float:
    return sum(rail.watts or 0.0 for rail in reading.rails if rail.counted)


def test_rapl_counts_packages_and_their_memory_once(tmp_path: Path) -> None:
    rails = by_name(read_rapl(trees.rapl(tmp_path) / "sys"))
    assert [name for name, rail in rails.items() if rail.counted] == ["package-0", "package-0 dram"]
    assert set(rails) == {"package-0", "package-0 core", "package-0 dram", "psys"}
    package = rails["package-0"]
    assert (package.joules, package.wraps_at_j) == (1.0, trees.PACKAGE_RANGE_UJ / 1e6)


def test_rapl_that_only_root_may_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, for whom no file is closed."""
    trees.rapl(tmp_path)
    plain = Path.read_text

    def closed(path: Path, *arguments: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *arguments)

    monkeypatch.setattr(Path, "read_text", closed)
    reading = read_rapl(tmp_path / "sys")
    (fault,) = reading.faults
    assert not reading.rails
    assert "energy_uj may be read by root only" in fault


def test_of_a_jetson_with_an_input_only_that_is_counted(tmp_path: Path) -> None:
    reading = read_board(trees.orin_nano(tmp_path) / "sys")
    assert counted_watts(reading) == pytest.approx(6.0)
    assert by_name(reading)["VDD_CPU_GPU_CV"].watts == pytest.approx(2.0)


def test_of_a_jetson_without_one_the_supplies_add_up_and_parts_do_not(tmp_path: Path) -> None:
    reading = read_board(trees.agx_orin(tmp_path) / "sys")
    assert counted_watts(reading) == pytest.approx(4 + 2 + 4)
    assert not by_name(reading)["VDDQ_VDD2_1V8AO"].counted
    assert "NC" not in by_name(reading)


def test_a_channel_that_is_off_or_silent_is_left_out(tmp_path: Path) -> None:
    trees.ina3221(tmp_path, 0, ("VDD_A", 5000, 100), None, ("VDD_B", 5000, 200))
    (tmp_path / "sys/class/hwmon/hwmon0/curr3_input").unlink()
    assert set(by_name(read_board(tmp_path / "sys"))) == {"VDD_A"}


def test_pmbus_counts_a_converter_s_input_and_else_its_outputs(tmp_path: Path) -> None:
    rails = by_name(read_board(trees.zcu104(tmp_path) / "sys"))
    assert rails["irps5401 pin"].counted and not rails["irps5401 pout1"].counted
    assert rails["isl68127 pout1"].watts == pytest.approx(0.85 * 4)
    assert rails["isl68127 pout1"].counted


def test_two_chips_of_a_kind_keep_their_names_apart(tmp_path: Path) -> None:
    for number in (0, 1):
        chip = f"class/hwmon/hwmon{number}"
        trees.write(tmp_path, {f"{chip}/name": "ina226", f"{chip}/power1_input": 1_000_000})
    names = [rail.name for rail in read_board(tmp_path / "sys").rails]
    assert names == ["ina226 power1", "ina226 power1 2"]


def test_batteries_and_graphics_cards_are_no_rails_of_the_board(tmp_path: Path) -> None:
    files: dict[str, object] = {"class/power_supply/BAT0/type": "Battery"}
    for number, name in enumerate(("BAT0", "amdgpu")):
        files |= {
            f"class/hwmon/hwmon{number}/name": name,
            f"class/hwmon/hwmon{number}/power1_input": 5_000_000,
        }
    assert read_board(trees.write(tmp_path, files) / "sys").rails == ()


def test_temperatures_come_from_zones_cpus_and_a_zynq(tmp_path: Path) -> None:
    trees.orin_nano(tmp_path)
    trees.write(
        tmp_path,
        {
            "class/hwmon/hwmon7/name": "k10temp",
            "class/hwmon/hwmon7/temp1_label": "Tctl",
            "class/hwmon/hwmon7/temp1_input": 61_125,
            "bus/iio/devices/iio:device0/name": "xadc",
            "bus/iio/devices/iio:device0/in_temp0_raw": 2603,
            "bus/iio/devices/iio:device0/in_temp0_offset": -2219,
            "bus/iio/devices/iio:device0/in_temp0_scale": 123.040771484,
        },
    )
    assert read_thermal(tmp_path / "sys").celsius == pytest.approx(
        {
            "cpu-thermal": 48.25,
            "gpu-thermal": 46.5,
            "k10temp Tctl": 61.125,
            "xadc": (2603 - 2219) * 123.040771484 / 1000,
        }
    )


def test_there_are_so_many_temperatures_and_no_more(tmp_path: Path) -> None:
    for number in range(MOST + 5):
        zone = f"class/thermal/thermal_zone{number}"
        trees.write(tmp_path, {f"{zone}/type": "acpitz", f"{zone}/temp": 20_000})
    assert len(read_thermal(tmp_path / "sys").celsius) == MOST


def test_a_machine_without_sensors_has_no_rails(tmp_path: Path) -> None:
    for read in (read_rapl, read_board, read_thermal):
        assert read(tmp_path / "sys") == Reading()


def test_what_is_no_number_is_no_reading(tmp_path: Path) -> None:
    trees.rapl(tmp_path)
    for path in tmp_path.rglob("energy_uj"):
        path.write_text("garbage\n")
    assert read_rapl(tmp_path / "sys").rails == ()


def test_sensors_of_the_board_stand_for_cpu_and_gpu_too() -> None:
    board = Rail("board", "VDD_IN", 6.0)
    reading = together([Reading((Rail("rapl", "package-0", joules=1.0),)), Reading((board,))])
    assert [rail.name for rail in reading.rails if rail.counted] == ["VDD_IN"]
