"""What a design does, measured."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.tools.measure import simulate
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL_PLAN


@needs_verilator
def test_random_pictures_are_compared_with_and_without_stalls(cache: Path) -> None:
    found = simulate(SMALL_PLAN, cache, pictures=None, images=100, stalls=30, seed=5)
    assert found["bit_exact_images"] == found["bit_exact_images_stalled"] == 100
    assert found["interval_cycles"] <= 640 <= found["latency_cycles"]
