"""From a QONNX file to bits: each step of the compiler, and a small network all the way through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.accelerator import TOP
from fpga.network.profiles import PROFILES, Profile
from fpga.steps import Build, check_tools, run_step
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL, random_network
from tests.fpga.qonnx_files import write_qonnx


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "small.qonnx"
    write_qonnx(SMALL, path)
    return path


@needs_verilator
def test_every_step_runs_and_says_what_it_found(
    tmp_path: Path, cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "small", Profile("small", 640))
    build = Build(source, tmp_path / "build", "small", cache, side=8)
    with pytest.raises(EngineError, match="no plan"):
        run_step("simulate", build)
    with pytest.raises(EngineError, match="no integer network"):
        run_step("fold", build)
    for step in ("import", "streamline", "fold", "fifos", "generate", "simulate", "package"):
        run_step(step, build)
    said = json.loads((build.folder / "steps.json").read_text())
    assert said["import"]["blocks"] == 2
    assert said["streamline"]["agreement"] > 0.95
    assert len(said["fifos"]["depths"]) == 2
    assert said["simulate"]["bit_exact_images"] == said["simulate"]["images"] == 100
    assert said["simulate"]["bit_exact_images_stalled"] == 100
    assert f"module {TOP}(" in build.verilog_file.read_text()
    assert (build.folder / "build.tcl").exists()


def test_a_profile_that_is_too_fast_is_refused(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "small", Profile("small", 20))
    build = Build(source, tmp_path / "build", "small", tmp_path / "cache", side=8)
    run_step("streamline", build)
    with pytest.raises(EngineError, match="cannot take a picture in 20 cycles"):
        run_step("fold", build)


def test_pictures_that_no_bus_can_carry_are_refused_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network(7, (4,), 1, seed=1)
    path = tmp_path / "odd.qonnx"
    write_qonnx(network, path)
    build = Build(path, tmp_path / "build", "fast", tmp_path / "cache", side=7)
    run_step("streamline", build)
    with pytest.raises(EngineError, match="words of four bytes"):
        run_step("fold", build)


def test_programs_that_steps_need_are_looked_for_before_the_first_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check_tools(("import", "streamline", "fold", "generate", "package"))
    for step, program in (("fifos", "verilator"), ("simulate", "verilator"), ("size", "yosys")):
        with pytest.raises(EngineError, match=f"not installed: {program}"):
            check_tools(("import", step))
