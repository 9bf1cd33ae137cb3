"""Builds the library behind `fpga.board.simulated`: the accelerator with its buses in Verilator.

The other side of the buses watches the rules: what waits for READY stays as it is (Arm IHI 0051A
2.2.1, IHI 0022E A3.2.1), an answer follows its address and data (A3.3.1) and is OKAY. Without VALID
it puts noise on the lines.
"""

from __future__ import annotations

from pathlib import Path

from fpga.design.accelerator import TOP, accelerator_verilog
from fpga.network.plan import Plan
from fpga.tools.needs import SIMULATION
from fpga.tools.verilator import build_library

_HARNESS = """
#include <verilated.h>
#include "Vhv_accel.h"
#include <climits>
#include <cstdint>
struct Board {
    VerilatedContext context;
    Vhv_accel top{&context};
    uint64_t cycle = 0, state = 88172645463325252ull;
    void low() { top.aclk = 0; top.eval(); }
    void high() { top.aclk = 1; top.eval(); cycle++; }
    void tick() { low(); high(); }
    uint32_t draw() {  // xorshift64*
        state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
        return (state * 2685821657736338717ull) >> 32;
    }
};
extern "C" Board* board_new() {
    Board* b = new Board;
    auto& t = b->top;
    t.aresetn = 0; t.s_axis_tvalid = 0; t.m_axis_tready = 0; t.s_axis_tkeep = 15;
    t.s_axi_awvalid = 0; t.s_axi_wvalid = 0; t.s_axi_arvalid = 0; t.s_axi_bready = 0;
    t.s_axi_rready = 0;
    for (int k = 0; k < 4; k++) b->tick();
    t.aresetn = 1;
    b->tick();
    return b;
}
extern "C" void board_delete(Board* b) { b->top.final(); delete b; }
extern "C" uint64_t board_cycle(Board* b) { return b->cycle; }
// Delays are cycles from the start until a signal rises. 0, or BROKEN, or SILENT.
enum { SILENT = -1, BROKEN = -2 };
extern "C" int board_write(Board* b, uint32_t address, uint32_t value, uint32_t strobe,
                           int address_after, int data_after, int answer_after) {
    auto& t = b->top;
    bool addressed = false, written = false, waiting = false;
    int result = SILENT;
    for (int k = 0; k < 64 && result == SILENT; k++) {
        t.s_axi_awvalid = !addressed && k >= address_after;
        t.s_axi_awaddr = t.s_axi_awvalid ? address : b->draw() & 0xFFF;
        t.s_axi_wvalid = !written && k >= data_after;
        t.s_axi_wdata = t.s_axi_wvalid ? value : b->draw();
        t.s_axi_wstrb = t.s_axi_wvalid ? strobe : b->draw() & 15;
        t.s_axi_bready = k >= answer_after;
        b->low();
        bool answered = t.s_axi_bvalid && t.s_axi_bready;
        if (waiting && !t.s_axi_bvalid) result = BROKEN;  // the answer was taken back
        if (t.s_axi_bvalid && !(addressed && written)) result = BROKEN;  // it came too early
        if (t.s_axi_bvalid && t.s_axi_bresp != 0) result = BROKEN;
        waiting = t.s_axi_bvalid && !t.s_axi_bready;
        addressed |= t.s_axi_awvalid && t.s_axi_awready;
        written |= t.s_axi_wvalid && t.s_axi_wready;
        b->high();
        if (answered && result == SILENT) result = 0;
    }
    t.s_axi_awvalid = t.s_axi_wvalid = t.s_axi_bready = 0;
    return result;
}
extern "C" int64_t board_read(Board* b, uint32_t address, int address_after, int answer_after) {
    auto& t = b->top;
    bool addressed = false, waiting = false;
    uint32_t shown = 0;
    int64_t result = SILENT;
    for (int k = 0; k < 64 && result == SILENT; k++) {
        t.s_axi_arvalid = !addressed && k >= address_after;
        t.s_axi_araddr = t.s_axi_arvalid ? address : b->draw() & 0xFFF;
        t.s_axi_rready = k >= answer_after;
        b->low();
        bool answered = t.s_axi_rvalid && t.s_axi_rready;
        if (waiting && (!t.s_axi_rvalid || t.s_axi_rdata != shown)) result = BROKEN;
        if (t.s_axi_rvalid && (!addressed || t.s_axi_rresp != 0)) result = BROKEN;
        waiting = t.s_axi_rvalid && !t.s_axi_rready;
        shown = t.s_axi_rdata;
        addressed |= t.s_axi_arvalid && t.s_axi_arready;
        b->high();
        if (answered && result == SILENT) result = shown;
    }
    t.s_axi_arvalid = t.s_axi_rready = 0;
    return result;
}
// Feeds `ins` words as one packet and takes words until TLAST. Returns how many came; -1 - count
// where `limit` cycles passed before TLAST; LONG_MIN where a word changed while it
// waited or was not whole.
extern "C" long board_exchange(Board* b, const uint32_t* in, long ins, uint32_t* out, long room,
                               int stall_in, int stall_out, uint64_t seed, long limit) {
    auto& t = b->top;
    b->state = seed * 2654435769u + 88172645463325252ull;
    long taken = 0, given = 0;
    bool offering = false, done = false, waiting = false, broken = false, last = false;
    uint32_t shown = 0;
    for (long k = 0; k < limit && !done && !broken; k++) {
        b->low();
        if (!offering) offering = taken < ins && (int)(b->draw() % 100) >= stall_in;
        t.s_axis_tvalid = offering;
        t.s_axis_tdata = offering ? in[taken] : b->draw();
        t.s_axis_tlast = offering ? taken == ins - 1 : b->draw() & 1;
        t.m_axis_tready = given < room && (int)(b->draw() % 100) >= stall_out;
        t.eval();
        bool took = t.s_axis_tvalid && t.s_axis_tready, gave = t.m_axis_tvalid && t.m_axis_tready;
        broken = waiting && (!t.m_axis_tvalid || t.m_axis_tdata != shown || t.m_axis_tlast != last);
        broken |= t.m_axis_tvalid && t.m_axis_tkeep != 15;
        waiting = t.m_axis_tvalid && !t.m_axis_tready;
        shown = t.m_axis_tdata; last = t.m_axis_tlast;
        if (gave) { out[given++] = t.m_axis_tdata; done = t.m_axis_tlast; }
        b->high();
        if (took) { taken++; offering = false; }
    }
    t.s_axis_tvalid = 0; t.m_axis_tready = 0;
    if (broken) return LONG_MIN;
    return done ? given : -1 - given;
}
"""


def board_library(plan: Plan, cache: Path) -> Path:
    """A shared library with the functions of the harness, for a design; built once.

    Raises EngineError.
    """
    SIMULATION.check()  # before Verilog is written, which takes a while
    return library_of(accelerator_verilog(plan), cache)


def library_of(verilog: str, cache: Path) -> Path:
    """The same for any Verilog of an accelerator with its name and ports."""
    return build_library(verilog, TOP, _HARNESS, cache)
