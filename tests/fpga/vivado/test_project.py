"""The Vivado project that is written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.board.pynq_board import CORE, DMA
from fpga.design.accelerator import TOP
from fpga.vivado.project import write_project
from tests.fpga.networks import SMALL_PLAN

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
    write_project(SMALL_PLAN, tmp_path)
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
    assert lite <= ports and "ASSOCIATED_BUSIF s_axis:m_axis:s_axi" in verilog
