"""The other side of the buses finds who breaks their rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.board.driver import DriverError
from fpga.board.simulated import SimulatedBoard
from fpga.tools.axi_simulation import library_of
from tests.fpga.marks import needs_verilator

_RUDE = """
module hv_accel(input aclk, input aresetn,
    input [31:0] s_axis_tdata, input [3:0] s_axis_tkeep, input s_axis_tlast, input s_axis_tvalid,
    output s_axis_tready,
    output [31:0] m_axis_tdata, output [3:0] m_axis_tkeep, output m_axis_tlast,
    output m_axis_tvalid, input m_axis_tready,
    input [11:0] s_axi_awaddr, input s_axi_awvalid, output s_axi_awready,
    input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
    output [1:0] s_axi_bresp, output s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input s_axi_arvalid, output s_axi_arready,
    output [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output s_axi_rvalid, input s_axi_rready);
  reg [31:0] cycle = 0;
  reg asked = 0;
  always @(posedge aclk) begin cycle <= cycle + 1; asked <= s_axi_arvalid; end
  assign s_axis_tready = 1, m_axis_tvalid = 1, m_axis_tkeep = 15, m_axis_tlast = 0;
  assign m_axis_tdata = cycle;                               // changes while it waits
  assign s_axi_awready = 1, s_axi_wready = 1, s_axi_arready = 1, s_axi_bresp = 0, s_axi_rresp = 0;
  assign s_axi_bvalid = s_axi_awvalid;                       // answers without the data
  assign s_axi_rvalid = asked, s_axi_rdata = 7;              // takes its answer back
endmodule
"""


@needs_verilator
def test_an_accelerator_that_breaks_the_rules_of_its_buses_is_found(cache: Path) -> None:
    rude = SimulatedBoard(library_of(_RUDE, cache), limit=1000)
    assert rude.read(0) == 7
    rude.answer_after = 3
    with pytest.raises(DriverError, match="rule"):
        rude.read(0)
    with pytest.raises(DriverError, match="rule"):
        rude.write(0, 1)
    rude.stall_out = 50
    with pytest.raises(DriverError, match="output stream"):
        rude.exchange(np.zeros(8, np.uint8), 100)
    rude.close()
