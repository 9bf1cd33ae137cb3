"""Whole networks in Verilator against numpy: every bit, with and without stalls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.generate import NetworkUnit
from fpga.network.folding import fold
from fpga.network.plan import Plan
from fpga.tools.simulate import Simulation
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import images, plan_for, random_network

pytestmark = needs_verilator
STALLS = [(0, 0), (40, 0), (0, 40), (30, 30)]


def test_a_small_network_is_bit_exact_back_to_back_and_under_stalls(cache: Path) -> None:
    network = random_network(8, (4, 8), 2, seed=1)
    simulation = Simulation(NetworkUnit(plan_for(network, 640)), cache=cache)
    pictures = images(12, 8, np.random.default_rng(7))
    expected = network(pictures).ravel()
    for seed, (stall_in, stall_out) in enumerate(STALLS * 2):
        run = simulation.run(
            pictures,
            len(expected),
            limit=60_000,
            stall_in=stall_in,
            stall_out=stall_out,
            seed=seed,
        )
        assert np.array_equal(run.outputs, expected)
    quick = simulation.run(pictures, len(expected), limit=60_000)
    leaving = quick.given_at[network.classes - 1 :: network.classes]
    assert np.diff(leaving).max() <= 640 + 8


def test_a_skip_fifo_that_is_too_small_is_found_as_a_deadlock(cache: Path) -> None:
    network = random_network(8, (4,), 1, seed=2)
    plan = Plan(network, fold(network, 1000), {0: 8})
    simulation = Simulation(NetworkUnit(plan), cache=cache)
    pictures = images(1, 8, np.random.default_rng(1))
    with pytest.raises(EngineError, match="deadlock"):
        simulation.run(pictures, network.classes, limit=50_000)
