"""FIFO depths from simulation: how full each one ever was, and proof that this is enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpga.design.generate import NetworkUnit
from fpga.network.folding import slowest_layer
from fpga.network.network import Network
from fpga.network.plan import Plan
from fpga.tools.simulate import Run, Simulation
from hawkvision.errors import EngineError

PICTURES = 6
"""Back to back: a pipeline is full after two or three."""
_SLACK = 2
"""A full FIFO takes nothing in the cycle in which it gives a value; this lets it."""
STALLS = ((0, 0), (30, 30), (0, 60), (60, 0))
"""Percent of cycles in which input and output stand still."""


@dataclass(frozen=True)
class Depths:
    """The plan with the depths that were found.

    `peaks`: how full each FIFO was with generous depths, by the stalls ("30/30", in percent);
    `interval_before` and `interval_after`: cycles from picture to picture, generous and tight.
    """

    plan: Plan
    peaks: dict[str, tuple[int, ...]]
    interval_before: int
    interval_after: int


def pictures_for(network: Network, count: int, seed: int) -> np.ndarray:
    """Random uint8 [count, side, side, 3]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, network.side, network.side, 3)).astype(np.uint8)


def interval_of(run: Run, classes: int) -> int:
    """The longest time from one picture's last logit to the next one's, in cycles."""
    return int(np.diff(run.given_at[classes - 1 :: classes]).max())


def size_fifos(plan: Plan, cache: Path, *, seed: int = 1) -> Depths:
    """Find high-water marks with generous FIFOs, then run again with FIFOs of just that depth.

    A FIFO gets the mark of the run without stalls and two values more: nothing waits for it then.
    Raises EngineError where the smaller design differs from the integer network, stands still or is
    slower without stalls.
    """
    network = plan.network
    pictures = pictures_for(network, PICTURES, seed)
    expected = network(pictures).ravel()
    limit = 20 * (PICTURES + 5) * slowest_layer(plan)

    def runs(found: Plan) -> list[Run]:
        simulation = Simulation(NetworkUnit(found, watched=True), cache=cache)
        done = [
            simulation.run(
                pictures, len(expected), limit=limit, stall_in=into, stall_out=out, seed=seed
            )
            for into, out in STALLS
        ]
        if not all(np.array_equal(run.outputs, expected) for run in done):
            raise EngineError("the hardware differs from the integer network")
        return done

    generous = runs(plan)
    marks = {index: peak + _SLACK for index, peak in enumerate(generous[0].peaks)}
    chosen = plan.with_depths(marks)
    tight = runs(chosen)
    before, after = (interval_of(done[0], network.classes) for done in (generous, tight))
    if after > before:
        raise EngineError(f"with FIFOs of their marks a picture takes {after} cycles, not {before}")
    peaks = {f"{into}/{out}": run.peaks for (into, out), run in zip(STALLS, generous, strict=True)}
    return Depths(chosen, peaks, before, after)
