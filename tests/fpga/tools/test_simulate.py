"""Streams in and out of a component in Verilator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.tools.simulate import Simulation
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator


class _Restless(wiring.Component):
    """Counts without a look at `ready`."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(1)]
        m.d.sync += self.o.payload.eq(self.o.payload + 1)
        return m


@needs_verilator
def test_a_value_that_changes_while_it_waits_is_found(cache: Path) -> None:
    simulation = Simulation(_Restless(), cache=cache)
    assert simulation.run(np.zeros(4, np.int64), 20, limit=100).cycles == 20
    with pytest.raises(EngineError, match="changed"):
        simulation.run(np.zeros(4, np.int64), 20, limit=100, stall_out=30)
