"""Cycle-accurate simulation: Verilator builds a shared library, streams go in and out."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.lib import wiring

from fpga.design.generate import to_verilog
from fpga.tools.needs import SIMULATION
from hawkvision.errors import EngineError

Values = npt.NDArray[np.int64]
_TOP = "hv_top"
_BUILD_VERSION = 2
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
                    int stall_out, uint64_t seed, long limit, long* taken_at, long* given_at,
                    uint32_t* peaks) {
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
        if (took) { taken_at[taken++] = cycle; offering = false; }
    }
    top.final();
    return given == outs ? cycle : -given - 1;
}
"""


@dataclass(frozen=True)
class Run:
    """Outputs, and the cycle in which each input was taken and each output given.

    `peaks` are the high-water marks of what the component shows as `levels`.
    """

    outputs: Values
    taken_at: Values
    given_at: Values
    cycles: int
    peaks: tuple[int, ...] = ()


class Simulation:
    """A component with ports `i` and `o`, perhaps `levels`, compiled.

    Builds are cached by their source.
    """

    def __init__(self, unit: wiring.Component, *, cache: Path) -> None:
        self.verilog = to_verilog(unit, _TOP)
        self._out_bits = len(unit.o.payload)
        in_bits = len(unit.i.payload)
        self._levels = len(unit.levels) // 32 if hasattr(unit, "levels") else 0
        source = self.verilog + _wrapper(self.verilog, in_bits, self._out_bits, self._levels)
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
        taken, given = np.zeros(len(data), np.int64), np.zeros(outputs, np.int64)
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
            taken.ctypes.data_as(ctypes.c_void_p),
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
        return Run(values, taken, given, int(cycles), found)


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


def build_library(source: str, top: str, harness: str, cache: Path) -> Path:
    """A shared library of Verilog and a C++ harness around `V{top}`, compiled once.

    Raises EngineError.
    """
    SIMULATION.check()
    digest = hashlib.sha256(f"{_BUILD_VERSION}{harness}{source}".encode()).hexdigest()[:24]
    library = cache / digest / "libhv.so"
    if library.exists():
        return library
    cache.mkdir(parents=True, exist_ok=True)
    root = Path(_output("verilator", "--getenv", "VERILATOR_ROOT")) / "include"
    includes = [f"-I{root}", f"-I{root}/vltstd", "-Iobj"]
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        folder = Path(scratch)
        (folder / "top.v").write_text(source)
        (folder / "harness.cpp").write_text(harness)
        lint = ["-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "--noassert"]
        start = ["--x-assign", "fast", "--x-initial", "fast", "-O3"]
        shape = ["--output-split", "20000", "--top-module", top, "-Mdir", "obj"]
        _run(["verilator", "--cc", *lint, *start, *shape, "top.v"], folder)
        sources = ["harness.cpp", *(f"obj/{path.name}" for path in folder.glob("obj/*.cpp"))]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(
                pool.map(lambda name: _compiled(name, folder, includes), sorted(sources))
            )
        runtime = _runtime(root, cache, includes)
        _run(["g++", "-shared", "-o", "libhv.so", *objects, *runtime, "-lpthread"], folder)
        library.parent.mkdir(parents=True, exist_ok=True)
        (folder / "libhv.so").replace(library)
    return library


def _runtime(root: Path, cache: Path, includes: list[str]) -> list[str]:
    """Verilator's own code, compiled once for each version."""
    version = hashlib.sha256(_output("verilator", "--version").encode()).hexdigest()[:12]
    folder = cache / f"runtime-{version}"
    found = []
    for name in ("verilated", "verilated_threads"):
        target = folder / f"{name}.o"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}")
            line = ["g++", "-O2", "-fPIC", "-c", str(root / f"{name}.cpp"), "-o", str(partial)]
            _run(line + includes, folder)
            partial.replace(target)
        found.append(str(target))
    return found


def _compiled(name: str, folder: Path, includes: list[str]) -> str:
    target = f"{Path(name).stem}.o"
    _run(["g++", "-O1", "-fPIC", "-c", name, "-o", target, *includes], folder)
    return target


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"{command[0]}: {(done.stderr or done.stdout)[-800:]}")
