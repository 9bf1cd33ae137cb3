"""Builds the library behind `fpga.board.simulated`: the accelerator with its buses in Verilator."""

from __future__ import annotations

from pathlib import Path

from fpga.accelerator import TOP, accelerator_verilog
from fpga.plan import Plan
from fpga.simulate import build_library

_HARNESS = """
#include <verilated.h>
#include "Vhv_accel.h"
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
extern "C" int board_write(Board* b, uint32_t address, uint32_t value, uint32_t strobe) {
    auto& t = b->top;
    t.s_axi_awaddr = address; t.s_axi_wdata = value; t.s_axi_wstrb = strobe;
    t.s_axi_awvalid = t.s_axi_wvalid = 1; t.s_axi_bready = 1;
    for (int k = 0; k < 64; k++) {
        b->low();
        bool addressed = t.s_axi_awvalid && t.s_axi_awready;
        bool written = t.s_axi_wvalid && t.s_axi_wready;
        bool answered = t.s_axi_bvalid;
        b->high();
        if (addressed) t.s_axi_awvalid = 0;
        if (written) t.s_axi_wvalid = 0;
        if (answered) { t.s_axi_bready = 0; return 0; }
    }
    return -1;
}
extern "C" int64_t board_read(Board* b, uint32_t address) {
    auto& t = b->top;
    t.s_axi_araddr = address; t.s_axi_arvalid = 1; t.s_axi_rready = 1;
    for (int k = 0; k < 64; k++) {
        b->low();
        bool addressed = t.s_axi_arvalid && t.s_axi_arready, answered = t.s_axi_rvalid;
        int64_t value = t.s_axi_rdata;
        b->high();
        if (addressed) t.s_axi_arvalid = 0;
        if (answered) { t.s_axi_rready = 0; return value; }
    }
    return -1;
}
// Feeds `ins` words as one packet and takes words until TLAST. Returns how many came; -1 - count
// where `limit` cycles passed before TLAST.
extern "C" long board_exchange(Board* b, const uint32_t* in, long ins, uint32_t* out, long room,
                               int stall_in, int stall_out, uint64_t seed, long limit) {
    auto& t = b->top;
    b->state = seed * 2654435769u + 88172645463325252ull;
    long taken = 0, given = 0;
    bool offering = false, done = false;
    for (long k = 0; k < limit && !done; k++) {
        b->low();
        if (!offering) offering = taken < ins && (int)(b->draw() % 100) >= stall_in;
        t.s_axis_tvalid = offering;
        t.s_axis_tdata = offering ? in[taken] : 0;
        t.s_axis_tlast = offering && taken == ins - 1;
        t.m_axis_tready = given < room && (int)(b->draw() % 100) >= stall_out;
        t.eval();
        bool took = t.s_axis_tvalid && t.s_axis_tready, gave = t.m_axis_tvalid && t.m_axis_tready;
        if (gave) { out[given++] = t.m_axis_tdata; done = t.m_axis_tlast; }
        b->high();
        if (took) { taken++; offering = false; }
    }
    t.s_axis_tvalid = 0; t.m_axis_tready = 0;
    return done ? given : -1 - given;
}
"""


def board_library(plan: Plan, cache: Path) -> Path:
    """A shared library with the functions of the harness, for a design; built once."""
    return build_library(accelerator_verilog(plan), TOP, _HARNESS, cache)
