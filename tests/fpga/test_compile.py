"""From a QONNX file to bits: each step of the compiler, and a small network all the way through."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.board.pynq_board import CORE, DMA
from fpga.design.accelerator import TOP, accelerator_verilog
from fpga.network.cpu_model import cpu_model
from fpga.network.folding import fold
from fpga.network.network import load_network, save_network
from fpga.network.plan import Plan, generous_skip_depths, load_plan, save_plan
from fpga.network.profiles import PROFILES, Profile
from fpga.network.qonnx import import_qonnx
from fpga.network.reference import run_qonnx
from fpga.network.streamline import streamline
from fpga.steps import Build, run_step
from fpga.tools.fifos import size_fifos
from fpga.tools.simulate import why_not
from fpga.vivado.project import package_board, write_project
from hawkvision.cli.main import cli
from hawkvision.errors import EngineError, RepositoryError
from tests.fpga.networks import images, random_network
from tests.fpga.qonnx_files import write_qonnx

NETWORK = random_network(8, (4, 8), 2, seed=1)
needs_verilator = pytest.mark.skipif(why_not() is not None, reason=f"no Verilator: {why_not()}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "small.qonnx"
    write_qonnx(NETWORK, path)
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("blocks", [1, 2])
def test_integers_compute_what_the_file_computes_in_floats(
    tmp_path: Path, seed: int, blocks: int
) -> None:
    given = random_network(8, (4, 8), blocks, seed=seed)
    path = tmp_path / "small.qonnx"
    write_qonnx(given, path)
    network = streamline(import_qonnx(path), "small", 8)
    pictures = images(40, 8, np.random.default_rng(seed))
    expected = run_qonnx(path, pictures)
    found = network(pictures) * network.head.scale
    # A value that lies on a border may fall to either side; few do.
    exact = np.isclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max()).all(axis=1)
    assert exact.mean() > 0.9
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95
    assert network.digest != given.digest  # the same function, other fixed-point numbers
    assert [conv.out_channels for conv, _ in network.convolutions()] == [
        conv.out_channels for conv, _ in given.convolutions()
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"group": 4}, "groups"), ({"pads": [0, 0, 0, 0]}, "border"), ({"strides": [2, 1]}, "stride")],
)
def test_a_layer_that_cannot_be_built_is_named(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "odd.qonnx"
    write_qonnx(NETWORK, path, **change)
    with pytest.raises(RepositoryError, match=f"node conv_1 .*{why}"):
        import_qonnx(path)


def test_other_files_are_refused(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "not.qonnx"
    path.write_bytes(b"nothing")
    with pytest.raises(RepositoryError, match="not an ONNX file"):
        import_qonnx(path)
    onnx.save(cpu_model(NETWORK, list("abcd")), path)
    with pytest.raises(RepositoryError, match="Conv"):
        import_qonnx(path)
    model = onnx.load(source)
    zero = next(node for node in model.graph.node if node.op_type == "Quant").input[2]
    for constant in model.graph.initializer:
        if constant.name == zero:
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array(1, np.float32), zero))
    onnx.save(model, path)
    with pytest.raises(RepositoryError, match="zero point"):
        import_qonnx(path)


def test_the_model_for_cpus_has_the_same_bits() -> None:
    import onnxruntime

    network = random_network(16, (4, 8, 8), 1, seed=4, classes=5)
    model = cpu_model(network, list("abcde"))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pictures = images(50, 16, np.random.default_rng(2))
    found = session.run(None, {"image": pictures})[0]
    assert np.array_equal(found, (network(pictures) * network.head.scale).astype(np.float32))


def test_plans_survive_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.npz"
    plan = Plan(NETWORK, fold(NETWORK, 640), generous_skip_depths(NETWORK), {"stem": 2}, "small")
    save_plan(plan, path)
    again = load_plan(path)
    assert again.network.digest == NETWORK.digest == load_network(path).digest
    assert (again.folding, again.skip_depths) == (plan.folding, plan.skip_depths)
    assert (again.packed, again.profile) == ({"stem": 2}, "small")
    save_network(NETWORK, path)
    with pytest.raises(RepositoryError, match="without a plan"):
        load_plan(path)
    damaged: list[dict[str, object]] = [
        {"folding": {}},
        {"folding": {"stem": [1, 1]}, "skip_depths": []},
    ]
    for broken in damaged:
        save_network(NETWORK, path, plan={"packed": {}, "profile": "", **broken})
        with pytest.raises(RepositoryError, match="plan is"):
            load_plan(path)


@needs_verilator
def test_fifos_are_as_deep_as_they_were_ever_full(tmp_path: Path) -> None:
    plan = Plan(NETWORK, fold(NETWORK, 640), generous_skip_depths(NETWORK))
    found = size_fifos(plan, tmp_path)
    for index, depth in found.plan.skip_depths.items():
        assert 2 < depth < plan.skip_depths[index]
    assert found.interval_after <= found.interval_before
    assert len(found.peaks) == 4


@needs_verilator
def test_every_step_runs_and_says_what_it_found(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "small", Profile("small", 640))
    build = Build(source, tmp_path / "build", "small", tmp_path / "cache", side=8)
    with pytest.raises(EngineError, match="no plan"):
        run_step("simulate", build)
    with pytest.raises(EngineError, match="no integer network"):
        run_step("fold", build)
    for step in ("import", "streamline", "fold", "fifos", "generate", "simulate", "package"):
        run_step(step, build)
    said = json.loads((build.folder / "steps.json").read_text())
    assert said["import"]["blocks"] == 4
    assert said["streamline"]["agreement"] > 0.95
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


_MOCK = """
set seen {}
proc unknown {args} {
    global seen
    lappend seen $args
    switch -- [lindex $args 0] {
        get_property { return [expr {[lindex $args 1] eq "PROGRESS" ? "100%" : 1.25}] }
        get_bd_intf_pins - get_files - get_runs - make_wrapper { return [lindex $args end] }
        create_bd_cell { return [lindex $args end] }
        default { return "" }
    }
}
rename file file_real
proc file {args} {
    if {[lindex $args 0] eq "copy"} { global seen; lappend seen [concat file $args]; return }
    return [uplevel 1 [concat file_real $args]]
}
source build.tcl
foreach one $seen { puts [join $one " "] }
"""


def test_the_vivado_script_is_sound_and_names_what_is_there(tmp_path: Path) -> None:
    """Run by a real Tcl with Vivado's commands recorded; ports against the Verilog's."""
    plan = Plan(NETWORK, fold(NETWORK, 640), generous_skip_depths(NETWORK))
    write_project(plan, tmp_path)
    (tmp_path / "mock.tcl").write_text(_MOCK)
    try:
        done = subprocess.run(
            ["tclsh", "mock.tcl"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("tclsh is not installed")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    for cell in (CORE, DMA):
        assert re.search(rf"^create_bd_cell .* {cell}$", said, re.M)
    assert f"-reference {TOP} {CORE}" in said
    verilog = (tmp_path / f"{TOP}.v").read_text()
    header = verilog[verilog.index(f"module {TOP}(") :]
    ports = set(re.findall(r"(?:input|output)\s+(?:\[\d+:0\]\s+)?(\w+)", header))
    interfaces = {name.rsplit("_", 1)[0] for name in ports if "_" in name}
    wanted = set(re.findall(rf"{CORE}/(\w+)", said))
    assert wanted == {"s_axis", "m_axis", "s_axi"} == interfaces
    assert {"aclk", "aresetn"} <= ports
    assert "c_sg_length_width 23" in said and "xc7z020clg400-1" in said
    assert "edge.bit" in said and "edge.hwh" in said
    constraint = (tmp_path / f"{TOP}.xdc").read_text()
    assert "[get_ports aclk]" in constraint
    lite = {f"s_axi_{name}" for name in ("awaddr", "wdata", "wstrb", "bresp", "rdata", "rresp")}
    assert lite <= ports and "ASSOCIATED_BUSIF s_axis:m_axis:s_axi" in accelerator_verilog(plan)


def test_a_package_holds_the_task_and_the_bitstream_beside_its_rung(tmp_path: Path) -> None:
    task = tmp_path / "signs" / "3"
    task.mkdir(parents=True)
    (task / "task.toml").write_text("")
    bit, hwh = tmp_path / "b.bit", tmp_path / "b.hwh"
    bit.write_bytes(b"bits")
    hwh.write_text("<x/>")
    with pytest.raises(RepositoryError, match=r"edge\.fpga\.npz"):
        package_board(task, bit, hwh, tmp_path / "out.tar.gz")
    save_network(NETWORK, task / "edge.fpga.npz")
    arguments = ["fpga", "package", "--task", str(task), "--bit", str(bit), "--hwh", str(hwh)]
    out = tmp_path / "out.tar.gz"
    assert not cli([*arguments, "--out", str(out)], standalone_mode=False)
    with tarfile.open(out) as archive:
        assert sorted(archive.getnames()) == [
            f"signs/3/{name}" for name in ("edge.bit", "edge.fpga.npz", "edge.hwh", "task.toml")
        ]
        stream = archive.extractfile("signs/3/edge.bit")
        assert stream is not None and stream.read() == b"bits"
