"""What a test needs that is not everywhere."""

from __future__ import annotations

import pytest

from fpga.tools.needs import SIMULATION, SYNTHESIS

needs_verilator = pytest.mark.skipif(
    SIMULATION.why_not() is not None, reason=f"Verilator: {SIMULATION.why_not()}"
)
needs_yosys = pytest.mark.skipif(
    SYNTHESIS.why_not() is not None, reason=f"yosys: {SYNTHESIS.why_not()}"
)
