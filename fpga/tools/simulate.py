"""Cycle-accurate simulation of a component: streams go in and out of it, with stalls."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.lib import wiring

from fpga.design.generate import LEVEL_BITS, to_verilog
from fpga.tools.verilator import build_library
from hawkvision.errors import EngineError

Values = npt.NDArray[np.int64]
_TOP = "hv_top"
_CHANGED = -(1 << (8 * ctypes.sizeof(ctypes.c_long) - 1))

_HARNESS = """
#include <verilated.h>
#include "Vhv_sim.h"
#include <climits>
#include <cstdint>
static uint64_t state;
static uint32_t draw() {  // xorshift64*
    state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
    return (state * 2685821657736338717ull) >> 32;
}
extern "C" long run(const uint32_t* in, long ins, uint32_t* out, long outs, int stall_in,
                    int stall_out, uint64_t seed, long limit, long* given_at, uint32_t* peaks) {
    VerilatedContext context;
    Vhv_sim top{&context};
    state = seed * 2654435769u + 88172645463325252ull;
    top.rst = 1; top.i_valid = 0; top.o_ready = 0;
    for (int k = 0; k < 4; k++) { top.clk = 0; top.eval(); top.clk = 1; top.eval(); }
    top.rst = 0;
    long taken = 0, given = 0, cycle = 0;
    bool offering = false, waiting = false;
    uint32_t shown = 0;
    for (; given < outs && cycle < limit; cycle++) {
        top.clk = 0;
        if (!offering) offering = taken < ins && (int)(draw() % 100) >= stall_in;
        top.i_valid = offering;
        top.i_payload = (offering ? in[taken] : draw()) & IN_MASK;
        top.o_ready = (int)(draw() % 100) >= stall_out;
        top.eval();
        bool took = top.i_valid && top.i_ready, gave = top.o_valid && top.o_ready;
        if (waiting && (!top.o_valid || top.o_payload != shown)) { top.final(); return LONG_MIN; }
        waiting = top.o_valid && !top.o_ready;
        shown = top.o_payload;
        if (gave) { out[given] = top.o_payload; given_at[given++] = cycle; }
#if LEVELS
        for (int k = 0; k < LEVELS; k++) if (top.levels[k] > peaks[k]) peaks[k] = top.levels[k];
#endif
        top.clk = 1; top.eval();
        if (took) { taken++; offering = false; }
    }
    top.final();
    return given == outs ? cycle : -given - 1;
}
"""


@dataclass(frozen=True)
class Run:
    """Outputs, and the cycle in which each was given.

    `peaks` are the high-water marks of what the component shows as `levels`.
    """

    outputs: Values
    given_at: Values
    cycles: int
    peaks: tuple[int, ...] = ()


class Simulation:
    """A component with ports `i` and `o`, perhaps `levels`, compiled.

    Builds are cached by their source.
    """

    def __init__(self, unit: wiring.Component, *, cache: Path) -> None:
        verilog = to_verilog(unit, _TOP)
        self._out_bits = len(unit.o.payload)
        in_bits = len(unit.i.payload)
        self._levels = len(unit.levels) // LEVEL_BITS if hasattr(unit, "levels") else 0
        source = verilog + _wrapper(verilog, in_bits, self._out_bits, self._levels)
        mask = f"#define IN_MASK {(1 << min(in_bits, 32)) - 1}u\n"
        harness = f"#define LEVELS {self._levels}\n{mask}{_HARNESS}"
        library = build_library(source, "hv_sim", harness, cache)
        self._run = ctypes.CDLL(str(library)).run
        self._run.restype = ctypes.c_long

    def run(
        self,
        inputs: npt.NDArray[np.integer[Any]],
        outputs: int,
        *,
        limit: int,
        stall_in: int = 0,
        stall_out: int = 0,
        seed: int = 1,
        signed: bool = True,
    ) -> Run:
        """Feed `inputs` and wait for so many outputs; stalls in percent of the cycles.

        Raises EngineError where they do not come within `limit` cycles, or one changes while it
        waits to be taken.
        """
        data = np.ascontiguousarray(inputs.ravel().astype(np.int64) & 0xFFFFFFFF, np.uint32)
        out = np.zeros(outputs, np.uint32)
        given = np.zeros(outputs, np.int64)
        peaks = np.zeros(max(1, self._levels), np.uint32)
        cycles = self._run(
            data.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(len(data)),
            out.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(outputs),
            stall_in,
            stall_out,
            ctypes.c_uint64(seed),
            ctypes.c_long(limit),
            given.ctypes.data_as(ctypes.c_void_p),
            peaks.ctypes.data_as(ctypes.c_void_p),
        )
        if cycles == _CHANGED:
            raise EngineError("an output changed while it waited to be taken")
        if cycles < 0:
            raise EngineError(
                f"deadlock or too slow: {-cycles - 1} of {outputs} outputs in {limit} cycles"
            )
        values = out.astype(np.int64)
        if signed:
            top = 1 << (self._out_bits - 1)
            values = np.where(values >= top, values - 2 * top, values)
        found = tuple(int(peak) for peak in peaks[: self._levels])
        return Run(values, given, int(cycles), found)


def _wrapper(source: str, in_bits: int, out_bits: int, levels: int) -> str:
    """A module around the top whose ports have names that Verilator does not change."""
    # Three words and more are an array in Verilator's C++.
    shown = f",\n              output [{32 * max(3, levels) - 1}:0] levels" if levels else ""
    linked = ", .levels(levels)" if levels else ""
    clocked = ".clk(clk), .rst(rst), " if re.search(r"^\s*input clk;", source, re.M) else ""
    return f"""
module hv_sim(input clk, input rst,
              input i_valid, output i_ready, input [{in_bits - 1}:0] i_payload,
              output o_valid, input o_ready, output [{out_bits - 1}:0] o_payload{shown});
  {_TOP} top({clocked}.i__valid(i_valid), .i__ready(i_ready), .i__payload(i_payload),
             .o__valid(o_valid), .o__ready(o_ready), .o__payload(o_payload){linked});
endmodule
"""
