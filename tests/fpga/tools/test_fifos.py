"""FIFO depths from simulation."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.tools.fifos import size_fifos
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL_PLAN


@needs_verilator
def test_fifos_are_as_deep_as_they_were_ever_full(cache: Path) -> None:
    found = size_fifos(SMALL_PLAN, cache)
    for index, depth in found.plan.skip_depths.items():
        assert 2 < depth < SMALL_PLAN.skip_depths[index]
    assert found.interval_after <= found.interval_before
    assert len(found.peaks) == 4
