"""Sizes from yosys' tables, and from yosys itself where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.blocks.convolution import ConvUnit
from fpga.tools.sizing import Size, parse_statistics, synthesize
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_yosys
from tests.fpga.networks import conv_for

_TABLE = """
=== part ===

   Number of wires:                 16
   Number of cells:                 99
     DSP48E1                         2
     FDRE                           10
     FDSE                            1
     LUT2                            3
     LUT6                            4
     MUXF7                           9
     RAM32M                          2
     RAMB18E1                        3
     RAMB36E1                        1
"""


def test_cells_are_counted_as_the_chip_has_them() -> None:
    assert parse_statistics(_TABLE) == Size(lut=15, ff=11, dsp=2, bram36=2.5)
    assert Size(1, 2, 3, 0.5) + Size(1, 1, 1, 1) == Size(2, 3, 4, 1.5)
    with pytest.raises(EngineError):
        parse_statistics("nothing")


@needs_yosys
def test_a_small_layer_is_sized_and_remembered(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    conv = conv_for(rng.integers(0, 16, (1, 6, 6, 4)), 4, rng)
    found = synthesize(ConvUnit(conv, 6, 2, 2), tmp_path)
    assert 50 < found.lut < 1500 and found.ff > 20 and found.dsp >= 1
    assert synthesize(ConvUnit(conv, 6, 2, 2), tmp_path) == found
    assert len(list(tmp_path.glob("*.json"))) == 1
